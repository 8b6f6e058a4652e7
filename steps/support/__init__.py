"""What steps stand on. Nothing in here imports a step."""
