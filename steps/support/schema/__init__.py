"""Read schemas, compare them by meaning, and describe their differences."""
