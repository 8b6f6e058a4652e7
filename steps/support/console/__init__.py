"""What the engineer sees and keeps: the plan, the progress, the end of a run, and its report."""
