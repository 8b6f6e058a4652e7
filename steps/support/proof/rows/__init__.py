"""Compare the rows of two database files exactly, by type and value."""
