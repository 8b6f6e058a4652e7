"""One narrow interface to a SQLite-like database, and its transports: a file, and Hrana over HTTP."""
