"""How long single calls and waits below the run loop may take, in seconds.

The budget of a run and the limits of its steps are in run/budget.py.

A limit here never outlasts the caller's scope. Each was measured, or says why it is what it is.
"""

# The database
STEALS = 5.0  # after which sqld gives the write lock to a writer that waits, and rolls the transaction back (0.24.32)
LOCK_RELEASED = 2.0  # to give the lock back; its lease ends by itself
ACCEPTANCE_ANSWERED = 60.0  # in which an acceptance is asked for again
KEPT_ROWS_READ = 2.0  # to read what a rollback kept, which is only reported

# Any call
PATIENCE = 5.0  # for one try of a call without an answer
PREFLIGHT_TRIES, PREFLIGHT_PATIENCE = 3, 10.0  # tries, and seconds for each, before anything begins
EFFECT = 2.0  # in which a request that was cut off may still take effect
REMARKS_READ = 5.0  # for each thing that is only reported after a run

# The platform
PUSH_TAKEN_UP = 3.0  # in which it takes up a pushed commit
RESTORING_BUILD_APPEARS = 2.0  # in which it takes up the commit that restores the previous files
DEPLOYMENT_APPEARS = 20.0  # after which a push that shows no deployment will show none
BUILD_GOES_LIVE = 3.0  # in which a build that is ready goes live by itself
PROMOTION_ENDS = 6.0  # for a promotion under way, before it is rolled back
LIVE_CODE_KNOWN = 2.0  # to find out which code is live or on its way
OWNER_KNOWN = 2.0  # to find out whose a deployment is
