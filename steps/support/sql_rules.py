"""The rules of the proof, by the names that `-- allow:` knows. What each of them finds stands in the runbook."""

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
