"""Limits of time that stand below the run loop, each measured or with its reason; all in seconds."""

STEALS = 5.0  # seconds after which a server gives the write lock to a writer that waits, and rolls the transaction back
