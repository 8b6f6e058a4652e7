"""Reach the verdict on a change: derive findings from its rehearsal, and sort them by severity."""
