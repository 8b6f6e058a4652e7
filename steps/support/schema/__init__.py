"""Schemas by meaning: how they are read, compared, and described."""
