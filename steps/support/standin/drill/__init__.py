"""The drill: every step broken in every way, in a process of its own, and what must come of it."""
