"""One run from start to end: its steps, its time, its journal, its lock and its rollback."""
