"""What the engineer sees and keeps: command line, plan, progress, report."""
