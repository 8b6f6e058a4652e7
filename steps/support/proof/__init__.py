"""Prove on a copy of production what a change would do to schema, rows and code, before production is touched."""
