"""The steps of a release, one file each; `orders` says which run, and in which order."""
