"""The outside world: git, Vercel, Turso and the site, one class each, without policy, retries or time limits."""
