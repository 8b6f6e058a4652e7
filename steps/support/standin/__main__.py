"""Fetch the real server into the project's cache: python -m steps.support.standin."""

from steps.support.standin import sqld

print(sqld.fetch())  # noqa: T201
