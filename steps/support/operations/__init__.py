"""What several steps share: builds, promotions, health checks, the proof of a change, rolling back the schema."""
