"""Read a change of the database from its source, and adapt its scripts to the tool's one transaction."""
