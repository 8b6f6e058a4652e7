"""The sources of a change of the database."""
