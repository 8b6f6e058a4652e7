"""The rehearsal: a server with the copy, the change made and rolled back on it, and what was seen."""
