"""Where things are in the repository."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SQL = ROOT / "sql"  # the shipped change
SEED = ROOT / "tests/support/database/seed"  # the change as first planned, which loses data
