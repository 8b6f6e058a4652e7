"""What several steps share: following a build, promoting, health checks, proving a change, rolling the schema back."""
