"""How long single calls and waits below the run loop may take, in seconds.

The budget of a run and the limits of its steps are in run/budget.py.

A call also ends when its caller's time does, even if its own limit is longer.
"""

# The database
STEALS = 5.0  # after this, sqld (0.24.32) gives the write lock to a waiting writer and rolls the transaction back
LOCK_RELEASED = 2.0  # for releasing the lock; if that fails, its lease ends by itself
ACCEPTANCE_ANSWERED = 60.0  # for accepting a change, including all retries
KEPT_ROWS_READ = 2.0  # for reading the rows that a rollback kept, which is only done for the report

REPLICA_BEHIND = 3.0  # by which a replica may lag: what it answers within that time after a commit may be old
WRITE_TRIED = 2.0  # for one try of a small write

# Any call
PATIENCE = 5.0  # until the tool gives up one try that gets no answer
PREFLIGHT_TRIES, PREFLIGHT_PATIENCE = 3, 10.0  # how often a preflight tries to read, and the seconds for each try
EFFECT = 2.0  # during which a request that was cut off may still take effect
REMARKS_READ = 5.0  # for reading each fact that is only mentioned at the end of a run

# The branch
SIGNED = 4.0  # for signing the commit that restores the previous files
PUSH_AGAIN = 0.5  # until a refused push is tried once more

# The platform
PUSH_TAKEN_UP = 3.0  # for the platform to notice a pushed commit
RESTORING_BUILD_APPEARS = 2.0  # for the platform to notice the commit that restores the previous files
ALIAS_JOB_DIES = 900.0  # after this, a promotion or rollback that is still in progress will never end
BUILD_GOES_LIVE = 3.0  # for a build that is ready to go live by itself
PROMOTION_ENDS = 6.0  # for a promotion that is under way to end, before it is rolled back
LIVE_CODE_KNOWN = 2.0  # for finding out which code is live or about to be
OWNER_KNOWN = 2.0  # for finding out who created a deployment
BRANCH_READ = 2.0  # for reading what the branch is at, which a rollback can do without
LIST_READ = 2.0  # for a list of deployments that a rollback can do without
CANCELLED = 3.0  # for running builds to be cancelled, before builds are kept from going live
