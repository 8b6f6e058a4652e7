"""Triggers and views before and after."""

from collections.abc import Collection, Iterator, Sequence

from steps.support.proof.schema_difference import Difference
from steps.support.proof.schema_parts import Trigger, View
from steps.support.proof.schema_text import Name


def trigger_differences(
    before: Sequence[Trigger], after: Sequence[Trigger], stayed: Collection[Name]
) -> Iterator[Difference]:
    """Give the differences in triggers of the tables and views that were there and still are."""
    old, new = [[each for each in triggers if each.table in stayed] for triggers in (before, after)]
    fresh = [trigger for trigger in new if trigger.name not in {each.name for each in old}]
    for trigger in (each for each in old if each not in new):
        heirs = [each for each in fresh if (each.table, each.sql) == (trigger.table, trigger.sql)]
        fresh = [each for each in fresh if each not in heirs[:1]]
        yield _trigger(trigger, heirs, new)
    for trigger in fresh:
        yield Difference("trigger-added", f"trigger {trigger.name}", f"is new on {trigger.table}")


def view_differences(before: Sequence[View], after: Sequence[View]) -> Iterator[Difference]:
    """Give the differences in views; one under another name is another one, because it is asked by its name."""
    old, new = ({view.name: view for view in views} for views in (before, after))
    for name, view in old.items():
        if name not in new:
            yield Difference("view-lost", f"view {name}", "is gone")
        elif view != new[name]:
            yield Difference("view-lost", f"view {name}", f"became {new[name].sql}")
    for name in (name for name in new if name not in old):
        yield Difference("view-added", f"view {name}", "is new")


def _trigger(trigger: Trigger, heirs: Sequence[Trigger], after: Sequence[Trigger]) -> Difference:
    place = f"trigger {trigger.name}"
    if heirs:
        return Difference("trigger-renamed", place, f"is called {heirs[0].name} now")
    same = next((f"became {each.sql}" for each in after if each.name == trigger.name), f"is gone from {trigger.table}")
    return Difference("trigger-lost", place, same)
