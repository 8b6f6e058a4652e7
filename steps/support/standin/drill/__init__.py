"""The drill: break every step in every way, each in its own process, and check the outcome."""
