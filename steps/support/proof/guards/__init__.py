"""Choose the figures that production's transaction asserts, from the scripts and from what the rehearsal measured."""
