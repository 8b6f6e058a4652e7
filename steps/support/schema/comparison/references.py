"""Compare the foreign keys of a table before and after: their parents, their actions, and whether the parents exist."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from steps.support.schema.comparison.difference import Difference, worded
from steps.support.schema.model import ForeignKey, Table, listed
from steps.support.schema.own_tables import KEPT
from steps.support.schema.text import Name

_LEFTOVER = re.compile(r"(?:^|_)(?:new|old|backup|bak|tmp|copy|pre|orig)(?:_|\d|$)")


def looks_left_over(name: str) -> bool:
    """Return True if a table's name looks temporary, such as systems_new, __old_systems, systemsBackup or t_bak2."""
    return bool(_LEFTOVER.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))


def keeps_references(
    before: Table, after: Table, old_tables: Mapping[Name, Table], new_tables: Collection[Name], renamed: Table | None
) -> bool:
    """Return True if a table still has all its foreign keys, except keys that the engine could not follow before.

    The arguments are those of `reference_differences`.
    """
    kept = ((key, _followed(key, before, renamed, new_tables)) for key in before.foreign_keys)
    return all(now in after.foreign_keys or _is_broken(key, old_tables) for key, now in kept)


def reference_differences(
    before: Table, after: Table, old_tables: Mapping[Name, Table], new_tables: Collection[Name], renamed: Table | None
) -> Iterator[Difference]:
    """Yield the differences between the foreign keys of a table.

    `old_tables`, `new_tables`: all tables before and after. `renamed`: the table, changed only by the RENAME statements
    of the script; a key that followed its parent to a new name is no difference, unless another table has the old name.
    A changed action or a lost key is `foreign-key-lost`; a parent that is wrong or gone is `foreign-key-target`.
    """
    followed = {key: _followed(key, before, renamed, new_tables) for key in before.foreign_keys}
    new = [key for key in after.foreign_keys if key not in {*followed.values()}]
    for old, key in followed.items():
        if key in after.foreign_keys:
            yield from _dangling(before, key) if key.parent in old_tables and key.parent not in new_tables else ()
        elif successors := [each for each in new if each.columns == key.columns]:
            new.remove(successors[0])
            repaired = _is_broken(old, old_tables) and not _absence(successors[0], new_tables)
            yield from (_repaired if repaired else _changed)(before, key, successors[0], new_tables)
        elif _is_broken(old, old_tables):
            words = f"no longer references {key.target}, which the engine could not follow"
            yield Difference("foreign-key-repaired", _place(before, key), words)
        else:
            yield Difference("foreign-key-lost", _place(before, key), f"no longer references {key.target}")
    for key in new:
        yield _added(after, key, old_tables, new_tables)


def _followed(key: ForeignKey, before: Table, renamed: Table | None, new_tables: Collection[Name]) -> ForeignKey:
    """Return a foreign key as RENAME rewrote it if the parent now has only its new name; else return it unchanged."""
    if renamed is None or key in renamed.foreign_keys or key.parent in new_tables:
        return key
    moved = [each for each in renamed.foreign_keys if each not in before.foreign_keys and each.parent in new_tables]
    alike = (each for each in moved if replace(each, parent=key.parent, parent_columns=key.parent_columns) == key)
    return next(alike, key)


def new_references(table: Table, old_tables: Collection[Name], new_tables: Collection[Name]) -> Iterator[Difference]:
    """Yield a difference for each foreign key of a new table whose parent is missing, or looks temporary."""
    differences = (_added(table, key, old_tables, new_tables) for key in table.foreign_keys)
    return (each for each in differences if each.kind == "foreign-key-target")


def _dangling(table: Table, key: ForeignKey) -> Iterator[Difference]:
    yield Difference("foreign-key-target", _place(table, key), f"references {key.parent}, which is gone")


def _changed(table: Table, old: ForeignKey, new: ForeignKey, new_tables: Collection[Name]) -> Iterator[Difference]:
    place = _place(table, old)
    if new.parent == old.parent and new.parent not in new_tables:  # the key named no columns: they are unknown now
        yield from _dangling(table, old)
    elif (old.parent, old.parent_columns) != (new.parent, new.parent_columns):
        words = f"references {new.target}{_absence(new, new_tables)}, no longer {old.target}"
        yield Difference("foreign-key-target", place, words)
    for event, was, now in (("UPDATE", old.on_update, new.on_update), ("DELETE", old.on_delete, new.on_delete)):
        yield from worded("foreign-key-lost", place, f"ON {event} {was}", f"ON {event} {now}")
    yield from worded("foreign-key-lost", place, "DEFERRED" * old.deferred, "DEFERRED" * new.deferred)


def _repaired(table: Table, old: ForeignKey, new: ForeignKey, _: Collection[Name]) -> Iterator[Difference]:
    words = f"references {new.target}, no longer {old.target}, which the engine could not follow"
    yield Difference("foreign-key-repaired", _place(table, old), words)


def _is_broken(key: ForeignKey, tables: Mapping[Name, Table]) -> bool:
    """Return True if the engine cannot follow a foreign key, because its parent, or a column there, does not exist."""
    parent = tables.get(key.parent)
    return parent is None or not {column.name for column in parent.columns} >= {*key.parent_columns}


def _added(table: Table, key: ForeignKey, old_tables: Collection[Name], new_tables: Collection[Name]) -> Difference:
    wrong = _absence(key, new_tables) or (looks_left_over(key.parent) and key.parent not in old_tables)
    kind = "foreign-key-target" if wrong else "foreign-key-added"
    words = _absence(key, new_tables) or (", which looks like a temporary table" if wrong else "")
    return Difference(kind, _place(table, key), f"references {key.target}{words}")


def _absence(key: ForeignKey, new_tables: Collection[Name]) -> str:
    if key.parent in new_tables:
        return ""
    kept = key.parent.lower().startswith(KEPT)
    return ", which is kept only until the change is accepted" if kept else ", which does not exist"


def _place(table: Table, key: ForeignKey) -> str:
    return f"{table.name}.{key.columns[0]}" if len(key.columns) == 1 else f"{table.name} {listed(key.columns)}"
