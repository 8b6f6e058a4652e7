"""The verdict: the findings that a rehearsal gives reason for."""
