"""Show a run to the engineer: the plan, the progress, the end, and the report to keep."""
