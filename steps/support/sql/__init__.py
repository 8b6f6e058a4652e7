"""The text of SQL scripts: tokens, statements, directives, checks, and what is refused before anything runs."""
