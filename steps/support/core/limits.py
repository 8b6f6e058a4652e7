"""Limits of time that stand below the run loop, each measured or with its reason; all in seconds."""

STEALS = 5.0  # seconds after which a server gives the write lock to a writer that waits, and rolls the transaction back

PATIENCE = 5.0  # for one try of a call without an answer
PREFLIGHT_TRIES, PREFLIGHT_PATIENCE = 3, 10.0  # for each, before anything begins
EFFECT = 2.0  # in which a request that was cut off may still take effect
