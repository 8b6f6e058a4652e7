"""The copy of production, and the backup that is made on the way."""
