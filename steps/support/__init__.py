"""What the steps are built on. No module in here imports a step."""
