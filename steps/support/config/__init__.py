"""The settings, and reading them from the environment and orchestrate.toml."""
