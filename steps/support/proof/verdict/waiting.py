"""Count the app's rows that the old schema cannot show, and that wait in the tool's own tables."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from steps.support.proof.rehearsal.rehearsal import RehearsalLog
from steps.support.proof.rows.result import Key, Kind, Row, TableDiff
from steps.support.proof.verdict.elsewhere import Elsewhere, Typed, is_too_many, typed
from steps.support.sql.statement import Value

Places = Mapping[Typed, Sequence[tuple[str, Collection[Typed]]]]  # by value, the rows that contain it


def waiting_rows(
    log: RehearsalLog, renames: Mapping[str, Mapping[str, str]], elsewhere: Elsewhere
) -> Mapping[str, int]:
    """Return, for each of the tool's own tables, how many written rows wait there until the migration runs again.

    `renames`: by table, the old names of renamed columns by their new names. `elsewhere`: the written rows that the
    last migration brings back.
    """
    if log.rows_written is None or log.rows_rolled_back is None or log.rows_migrated is None:
        return {}
    found, places, standing = Counter[str](), _places(log.kept), _standing(log.rows_rolled_back)
    for name, wrote in log.rows_written.items():
        there, renamed = log.rows_rolled_back.get(name), renames.get(name, {})
        shown = {} if there is None or is_too_many(there) else {row.key: row for row in there.rows}
        converted = _converted(log.rows_migrated.get(name), renamed)
        for row in wrote.rows:
            if row.kind is Kind.REMOVED or elsewhere.shows(name, row) or not elsewhere.came_back(name, row):
                continue
            if _holding(row, standing):
                continue
            key: Key = tuple(sorted((renamed.get(column, column), value) for column, value in row.key))
            missing = _missing(row, shown.get(key), renamed, converted)
            found.update([place for place in [_place(row, missing, places)] if missing and place])
    return dict(sorted(found.items()))


def _converted(moved: TableDiff | None, renamed: Mapping[str, str]) -> set[str]:
    """Return the columns whose values the migration itself changes, by their names in the new schema."""
    return set() if moved is None else {*moved.columns} - {*renamed}


def _missing(
    row: Row, there: Row | None, renamed: Mapping[str, str], converted: Collection[str]
) -> Mapping[str, Value]:
    """Return the values of a written row, by column, that the old schema does not show.

    `there`: the row with the same key after the rollback; None if there is no such row, or it did not change.
    """
    values = there.new if there and there.kind is row.kind else {}
    by_old_name = {name: renamed.get(name, name) for name in row.new}
    return {
        name: value
        for name, value in row.new.items()
        if name not in converted
        and not (by_old_name[name] in values and typed(values[by_old_name[name]]) == typed(value))
    }


def _places(kept: Mapping[str, Sequence[Sequence[Value]]]) -> Places:
    places = defaultdict[Typed, list[tuple[str, Collection[Typed]]]](list)
    for name, rows in kept.items():
        for row in rows:
            values = {*map(typed, row)}
            for value in values:
                places[value].append((name, values))
    return places


def _standing(rolled_back: Mapping[str, TableDiff]) -> Places:
    """Return the rows that differ after the rollback, in a form in which they can be found by a value."""
    return _places({name: [[*row.after.values()] for row in found.rows] for name, found in rolled_back.items()})


def _holding(row: Row, places: Places) -> bool:
    """Return True if one row of the old schema contains all values of a written row."""
    values = {*map(typed, row.after.values())}
    few = min((places.get(value, ()) for value in values), key=len, default=())
    return any(values <= {*there} for _, there in few)


def _place(row: Row, missing: Mapping[str, Value], places: Places) -> str:
    """Return the table in which a written row waits; empty if there is none.

    Among the tables in which some row contains the written row's key, choose the one whose row holds the most of the
    missing values.
    """
    key = [typed(value) for _, value in row.key] or [typed(value) for value in row.new.values() if value is not None]
    wanted = {typed(value) for value in missing.values() if value is not None}
    with_key = [(name, {*values}) for name, values in places.get(key[0], ()) if {*key} <= {*values}] if key else []
    most, name = max(((len(wanted & values), name) for name, values in with_key), default=(0, ""))
    return name if most or not wanted else ""
