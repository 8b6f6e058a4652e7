"""The steps of a release, one file for each. `orders` decides which of them run, and in which order."""
