"""The outside world: git, Vercel, Turso and the site, one class each, free of policy, retries and time limits."""
