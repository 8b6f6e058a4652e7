"""The report of a run, which is folded from its events, and the page that shows it."""
