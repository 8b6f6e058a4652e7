"""Fetch the real database server into the project's cache: python -m steps.support.standin."""

from steps.support.proof.rehearsal import sqld

print(sqld.fetch())  # noqa: T201
