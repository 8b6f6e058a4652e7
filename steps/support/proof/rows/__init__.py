"""The rows of two database files compared, exactly, by type and value."""
