"""The settings, and how they are read from the environment and orchestrate.toml."""
