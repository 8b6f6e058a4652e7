"""One run from beginning to end: its steps, its time, its journal, its lock, and rolling it back."""
