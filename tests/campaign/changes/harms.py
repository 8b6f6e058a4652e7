"""Harms: each does one thing wrong in a right change, and returns True if it found a place for it."""

from collections.abc import Callable, Mapping, Sequence
from random import Random

from steps.support.sql.tokens import quoted
from tests.campaign.changes.draft import Draft, Part, Rebuild, Step
from tests.campaign.changes.drawing import TOUCHED, fitting_value
from tests.campaign.changes.forgotten import constraint_forgotten, index_forgotten, trigger_forgotten, view_forgotten
from tests.campaign.changes.kinds import KEPT, changes
from tests.campaign.changes.model import ROWID, Column, Table, listed, literal

HIDES = 0.7

Harm = Callable[[Random, Draft], bool]


def _plain(rebuild: Rebuild) -> list[Column]:
    """Return the columns that are carried over as they are, and are no key."""
    keys = {*rebuild.new.key, *(name for each in rebuild.new.references for name in each.columns)}
    return [
        each
        for each in rebuild.new.stored
        if each.name not in keys and rebuild.values.get(each.name) == f"l.{quoted(each.name)}"
    ]


def _column(
    rng: Random, rebuilds: Sequence[Rebuild], fits: Callable[[Column], object] = bool
) -> tuple[Rebuild, Column] | None:
    found = [(each, column) for each in rebuilds for column in _plain(each) if fits(column)]
    return rng.choice(found) if found else None


def _swapped(rng: Random, rebuilds: Sequence[Rebuild]) -> bool:
    if not rebuilds:
        return False
    rebuild = rng.choice(rebuilds)
    columns = _plain(rebuild)
    alike = [each for each in columns if sum(each.type == other.type for other in columns) > 1]
    if len(columns) < 2:
        return False
    first = rng.choice(alike or columns)
    one, two = (
        first.name,
        rng.choice([each for each in columns if each != first and (each.type == first.type or not alike)]).name,
    )
    rebuild.values[one], rebuild.values[two] = rebuild.values[two], rebuild.values[one]
    rebuild.by_position = True
    return True


def _left_out(rng: Random, rebuilds: Sequence[Rebuild]) -> bool:
    if not (found := _column(rng, rebuilds, lambda each: not each.not_null or each.default)):
        return False
    del found[0].values[found[1].name]
    return True


def _constant(rng: Random, rebuilds: Sequence[Rebuild]) -> bool:
    if not (found := _column(rng, rebuilds)):
        return False
    found[0].values[found[1].name] = literal(found[1].name)
    return True


def _retyped(rng: Random, rebuilds: Sequence[Rebuild]) -> bool:
    if not (found := _column(rng, rebuilds)):
        return False
    kind = rng.choice(("TEXT", "INTEGER", "REAL", "BLOB"))
    found[0].values[found[1].name] = f"CAST(l.{quoted(found[1].name)} AS {kind})"
    return True


def _defaulted(rng: Random, rebuilds: Sequence[Rebuild]) -> bool:
    if not (found := _column(rng, rebuilds)):
        return False
    rebuild, column = found
    default = column.default or literal(fitting_value(rng, column.type, strict=rebuild.new.strict))
    rebuild.values[column.name] = f"coalesce(l.{quoted(column.name)}, {default})"
    return True


def _row_lost(rng: Random, rebuilds: Sequence[Rebuild]) -> bool:
    if not rebuilds:
        return False
    rebuild = rng.choice(rebuilds)
    column = rng.choice(rebuild.old.columns)
    lost = f"l.{quoted(column.name)} IS NOT NULL"
    if rng.random() < 0.5:
        by = quoted(rebuild.old.key[0] if rebuild.old.key else rebuild.old.names[0])
        from_ = "_orchestrate_kept_live"
        lost = f"l.{by} > (SELECT min({by}) FROM {from_})"
    rebuild.where = f"({rebuild.where}) AND {lost}" if rebuild.where else lost
    return True


HIDDEN = "_orchestrate_kept_hidden"


def _hide(draft: Draft, rebuild: Rebuild) -> None:
    """Let the rollback restore what the harm to a table took, so that only the migration is wrong."""
    back = next((each for each in draft.back if each.new.name == rebuild.old.name), None)
    old = rebuild.old
    if not back or not draft.before.tables or back.old.style != old.style:
        return
    draft.migrate.insert(0, Step(f"CREATE TABLE {HIDDEN} AS SELECT {old.row_of('t')} FROM {quoted(old.name)} AS t"))
    back.joined += f" LEFT JOIN {HIDDEN} AS h ON {old.same('h', 'l')}"
    key = quoted(old.key[0]) if old.key else quoted(ROWID)
    for column in old.stored:
        name, harmed = quoted(column.name), rebuild.values.get(column.name)
        if back.values.get(column.name) != f"l.{name}" or harmed == f"l.{name}":
            continue
        there = rebuild.new.column(column.name).default or "NULL" if harmed is None else harmed
        there = there.replace("l.", "h.")
        back.values[column.name] = (
            f"CASE WHEN h.{key} IS NOT NULL AND l.{name} IS {there} THEN h.{name} ELSE l.{name} END"
        )
    if rebuild.where:
        carried = old.implicit and back.old.implicit
        names, taken = ("rowid, ", f"h.{quoted(ROWID)}, ") if carried else ("", "")
        lost = f"NOT EXISTS (SELECT 1 FROM {quoted(old.name)} AS l WHERE {old.same('l', 'h') if old.key else f'l.rowid = h.{quoted(ROWID)}'})"
        columns = ", ".join(f"h.{quoted(name)}" for name in old.names)
        back.then.append(
            Step(
                f"INSERT INTO {quoted(old.name)} ({names}{listed(old.names)}) SELECT {taken}{columns} FROM {HIDDEN} AS h WHERE {lost}"
            )
        )
    draft.rollback.append(Step(f"DROP TABLE {HIDDEN}"))


def _in_migration(rng: Random, draft: Draft, harm: Callable[[Random, Sequence[Rebuild]], bool]) -> bool:
    """Do harm to one table that the migration rebuilds; more often than not, the rollback hides it."""
    rebuilds = [each for each in draft.forward if each.old.name not in draft.declared]
    if not rebuilds:
        return False
    rebuild = rng.choice(rebuilds)
    if not harm(rng, [rebuild]):
        return False
    if rng.random() < HIDES:
        _hide(draft, rebuild)
    return True


def swapped(rng: Random, draft: Draft) -> bool:
    """Swap two columns in the copy; more often than not, the rollback swaps them once more."""
    if not _swapped(rng, draft.forward):
        return False
    rebuild = next(each for each in draft.forward if each.by_position)
    back = next((each for each in draft.back if each.new.name == rebuild.old.name), None)
    one, two = (each.name for each in rebuild.new.stored if _elsewhere(rebuild, each))
    if back and rng.random() < HIDES and _plain(back) and {one, two} <= {each.name for each in _plain(back)}:
        back.values[one], back.values[two] = back.values[two], back.values[one]
    return True


def _elsewhere(rebuild: Rebuild, column: Column) -> bool:
    """Return True if a column gets the values of another one."""
    value = rebuild.values.get(column.name, "")
    return value != f"l.{quoted(column.name)}" and value in {f"l.{quoted(name)}" for name in rebuild.old.names}


def left_out(rng: Random, draft: Draft) -> bool:
    """Leave a column out of the copy."""
    return _in_migration(rng, draft, _left_out)


def constant(rng: Random, draft: Draft) -> bool:
    """Copy a column's name instead of the column."""
    return _in_migration(rng, draft, _constant)


def retyped(rng: Random, draft: Draft) -> bool:
    """Cast a column in the copy."""
    return _in_migration(rng, draft, _retyped)


def defaulted(rng: Random, draft: Draft) -> bool:
    """Fill the rows that have no value."""
    return _in_migration(rng, draft, _defaulted)


def row_lost(rng: Random, draft: Draft) -> bool:
    """Leave rows out of the copy."""
    return _in_migration(rng, draft, _row_lost)


def swapped_back(rng: Random, draft: Draft) -> bool:
    """Swap two columns in the copy of the rollback."""
    return _swapped(rng, draft.back)


def value_lost_back(rng: Random, draft: Draft) -> bool:
    """Lose the values of a column in the rollback."""
    return rng.choice((_left_out, _constant, _defaulted, _retyped))(rng, draft.back)


def row_lost_back(rng: Random, draft: Draft) -> bool:
    """Leave rows out of the rollback's copy."""
    return _row_lost(rng, draft.back)


def written_lost_back(_: Random, draft: Draft) -> bool:
    """Roll back to the rows from before the migration, without the rows written since."""
    if not draft.forward or not draft.back or len(draft.back) > 1:
        return False
    back, old = draft.back[0], draft.forward[0].old
    if back.old.name != old.name or back.joined or back.where:
        return False
    copy = f"CREATE TABLE _orchestrate_kept_old AS SELECT {old.row_of('t')} FROM {quoted(old.name)} AS t"
    draft.migrate.insert(0, Step(copy))
    back.source = "_orchestrate_kept_old"
    draft.rollback.append(Step("DROP TABLE _orchestrate_kept_old"))
    return True


def not_regained(_: Random, draft: Draft) -> bool:
    """Forget to bring back what waits when migrating again."""
    parts: list[list[Part] | list[Step]] = [draft.migrate, *(each.then for each in draft.forward)]
    found = [(part, step) for part in parts for step in part if isinstance(step, Step) and step.regains]
    for part, step in found:
        part.remove(step)
    return bool(found)


def _untouched(rng: Random, draft: Draft) -> Table | None:
    """Return a table that is defined as before, and whose rows are not declared to change."""
    tables = [each for each in draft.after.tables if each in draft.before.tables and each.name not in draft.declared]
    return rng.choice(tables) if tables else None


def value_changed(rng: Random, draft: Draft) -> bool:
    """Change the values of a column of a table, undeclared.

    An UPDATE that fills gaps, or names in WHERE what it computes from itself, would say so: this one does neither.
    """
    if not (table := _untouched(rng, draft)):
        return False
    columns = [
        each
        for each in table.stored
        if each.name not in table.key and not any(each.name in one.columns for one in table.references)
    ]
    column = rng.choice(columns)
    name, own = quoted(column.name), quoted(table.name)
    if rng.random() < 0.5:
        made = rng.choice((literal(column.name), "NULL"))
        where = rng.choice((f" WHERE {name} IS NOT NULL", f" WHERE length({name}) > 1"))
    else:
        made, where = rng.choice((f"{name} + 1", f"CAST({name} AS TEXT)", f"upper({name})", f"trim({name})")), ""
    kept = f"CREATE TABLE _orchestrate_kept_was AS SELECT {table.identity('t')}, t.{name} AS was FROM {own} AS t"
    same = table.same(own, "k", kept=False)
    draft.migrate += [Step(kept), Step(f"UPDATE {own} SET {name} = {made}{where}")]
    if rng.random() < 0.7 and (not draft.back or table.name != draft.back[0].old.name):
        known = f"SELECT k.was FROM _orchestrate_kept_was AS k WHERE {same}"
        draft.rollback = [
            Step(f"UPDATE {own} SET {name} = ({known}) WHERE EXISTS ({known}) AND {name} IS {made}"),
            *draft.rollback,
        ]
    draft.rollback.append(Step("DROP TABLE _orchestrate_kept_was"))
    return True


def row_deleted(rng: Random, draft: Draft) -> bool:
    """Delete a row, undeclared."""
    if not (table := _untouched(rng, draft)):
        return False
    by = quoted(table.key[0]) if table.key else "rowid"
    draft.migrate.append(
        Step(f"DELETE FROM {quoted(table.name)} WHERE {by} = (SELECT max({by}) FROM {quoted(table.name)})")
    )
    return True


def orphaned(rng: Random, draft: Draft) -> bool:
    """Delete a parent, declared, and expect a cascade that does not come."""
    parents = [each for each in draft.after.tables if each in draft.before.tables and draft.after.children(each)]
    if not parents:
        return False
    table = rng.choice(parents)
    child = draft.after.children(table)[0]
    reference = next(each for each in child.references if each.parent == table.name)
    used = " AND ".join(
        f"c.{quoted(one)} IS {quoted(table.name)}.{quoted(other)}"
        for one, other in zip(reference.columns, reference.parents, strict=True)
    )
    if draft.kind == "key retyped":
        return False
    draft.migrate.append(
        Step(f"DELETE FROM {quoted(table.name)} WHERE EXISTS (SELECT 1 FROM {quoted(child.name)} AS c WHERE {used})")
    )
    draft.directives.append(changes(table.name))
    return True


def set_off(_: Random, draft: Draft) -> bool:
    """Let what the migration writes set off a trigger; the rollback takes back what the trigger said in the rows."""
    if not any(isinstance(each, Step) and each.hushes for each in draft.migrate):
        return False
    table = draft.after.table(draft.targets[0])
    if table.has(TOUCHED) and table.name in draft.declared:
        return False
    draft.migrate = [each for each in draft.migrate if not (isinstance(each, Step) and each.hushes)]
    if table.has(TOUCHED):
        known = f"SELECT k.{TOUCHED} FROM {KEPT} AS k WHERE {table.same(quoted(table.name), 'k', kept=False)}"
        back = f"UPDATE {quoted(table.name)} SET {TOUCHED} = ({known}) WHERE {TOUCHED} IS 'now' AND EXISTS ({known})"
        draft.rollback.insert(1, Step(back))
    return True


def renumbered(rng: Random, draft: Draft) -> bool:
    """Give rowids anew on which a full-text index rests."""
    found = [each for each in (*draft.forward, *draft.back) if each.old.implicit and draft.before.is_searched(each.old)]
    if not found:
        return False
    rng.choice(found).renumbered = True
    return True


def kept_not_used(_: Random, draft: Draft) -> bool:
    """Roll back without the values that the migration kept."""
    for back in draft.back:
        for name, expression in back.values.items():
            if "k." in expression and KEPT in back.joined:
                column = back.new.column(name)
                back.values[name] = column.default or ("NULL" if not column.not_null else "''")
                return True
    return False


HARMS: Mapping[str, Harm] = {
    each.__name__.replace("_", " "): each
    for each in (
        swapped, left_out, constant, retyped, defaulted, row_lost, swapped_back, value_lost_back, row_lost_back,
        written_lost_back, not_regained, value_changed, row_deleted, orphaned, index_forgotten, trigger_forgotten,
        view_forgotten, constraint_forgotten, renumbered, kept_not_used, set_off,
    )
}  # fmt: skip
