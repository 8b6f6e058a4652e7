"""The outside world: git, Vercel, Turso and the site. Each has one class, without policy, retries or time limits."""
