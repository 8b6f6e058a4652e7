"""The files of a change and the rules of the proof, by the names that settings and `-- allow:` use.

The runbook explains what each rule finds.
"""

MIGRATE, ROLLBACK, VERIFY, VERIFY_ROLLBACK = "migrate.sql", "rollback.sql", "verify.sql", "verify_rollback.sql"
OLD_CODE, NEW_CODE, WRITES = "contract/old.sql", "contract/new.sql", "writes.sql"
FILES = (MIGRATE, ROLLBACK, VERIFY, VERIFY_ROLLBACK, OLD_CODE, NEW_CODE, WRITES)
SAMPLE = "sample.sql"  # needed only by a rehearsal on stand-ins
OF_THE_APP = (OLD_CODE, NEW_CODE, WRITES)  # statements that the app itself sends


OF_ROWS = ("column-lost", "retyped", "written-lost", "sequence-lowered")
OF_THE_SCHEMA = (
    "table-lost", "index-lost", "trigger-lost", "view-lost", "unique-lost", "default-lost", "check-lost",
    "conflict-lost", "collation-lost", "autoincrement-lost", "not-null-lost", "strict-lost", "type-changed",
    "foreign-key-target", "foreign-key-lost", "leftover-table", "broken-view", "broken-trigger",
)  # fmt: skip
OF_STATEMENTS = (
    "drop-parent", "rename-parent", "by-hand", "partial-key", "no-where", "or-replace", "or-ignore", "printed-only",
    "integer-division", "raise-outside-trigger", "not-parsed",
)  # fmt: skip
OF_THE_CHANGE = ("no-contract", "write-lock")
RULES = frozenset((*OF_THE_CHANGE, *OF_ROWS, *OF_THE_SCHEMA, *OF_STATEMENTS))
