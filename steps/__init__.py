"""The steps of a release, one file each; `orders` says which come when."""
