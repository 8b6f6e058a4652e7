"""The files of a change, by name."""

MIGRATE, ROLLBACK, VERIFY, VERIFY_ROLLBACK = "migrate.sql", "rollback.sql", "verify.sql", "verify_rollback.sql"
OLD_CODE, NEW_CODE, WRITES = "contract/old.sql", "contract/new.sql", "writes.sql"
FILES = (MIGRATE, ROLLBACK, VERIFY, VERIFY_ROLLBACK, OLD_CODE, NEW_CODE, WRITES)
SAMPLE = "sample.sql"  # only a rehearsal on stand-ins needs it
OF_THE_APP = (OLD_CODE, NEW_CODE, WRITES)  # what it sends itself
