"""SQL scripts as text: tokens, statements, directives, checks, and what is refused before anything runs."""
