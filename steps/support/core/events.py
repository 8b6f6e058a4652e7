"""The events of a run, as its journal keeps them."""

from collections.abc import Mapping, Sequence
from typing import Any

Event = Mapping[str, Any]


SETTLED = {"rollback": "rolled_back", "accept": "accepted", "unlock": "unlocked"}  # what becomes of a run, by mode


def begun(events: Sequence[Event]) -> list[str]:
    """Name the changes that were begun, in order, less those of which it is certain that nothing was done."""
    refused = {event["step"] for event in events if event["event"] == "failed" and event["refused"]}
    begins = [event["begins"] for event in events if "begins" in event and event.get("step") not in refused]
    return list(dict.fromkeys(name for names in begins for name in names))
