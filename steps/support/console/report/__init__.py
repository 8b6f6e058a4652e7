"""The report of a run: a fold over its events, and the page that shows it."""
