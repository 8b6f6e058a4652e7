"""A schema by meaning: how it is read, compared, and put into words."""
