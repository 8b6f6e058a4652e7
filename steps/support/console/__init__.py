"""What the engineer sees and keeps of a run: the plan, the progress, the ending, and the report."""
