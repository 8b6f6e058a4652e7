"""SQL scripts as text: their tokens, statements, directives and checks, and the rules that refuse scripts."""
