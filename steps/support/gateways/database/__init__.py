"""One narrow interface to a SQLite-like database, and the transports that carry it: a file, and Hrana over HTTP."""
