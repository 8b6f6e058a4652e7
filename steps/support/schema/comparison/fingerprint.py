"""Compare two fingerprints by meaning. A fingerprint contains the text of every object of a schema.

Quotes, spaces, comments and the case of keywords make no difference. An object that the local engine cannot create,
because only the server can, is compared token by token.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from steps.support.schema import definition
from steps.support.schema.clone import empty_clone
from steps.support.schema.comparison.diff import respelled_names, schema_diff
from steps.support.schema.reading import Schema, read_schema
from steps.support.schema.text import Name
from steps.support.sql.findings import Finding

Object = tuple[str, Name]  # the type and the name of an object
Texts = Mapping[Object, str]

_HEAD = re.compile(r"^(table|index|trigger|view)\|(.*?)\|(?=CREATE |\n|\Z)", re.MULTILINE)
_ORDER = ("table", "view", "index", "trigger")  # an order in which objects can be created


@dataclass(frozen=True, slots=True)
class Differing:
    """An object whose meaning changed, with its texts `before` and `now`; a text is empty if the object is missing."""

    kind: str
    name: str
    before: str
    now: str

    @property
    def texts(self) -> str:
        """Return both texts in full, each on a line of its own."""
        return f"\n  before: {self.before or '(none)'}\n  now: {self.now or '(none)'}"

    def __str__(self) -> str:
        """Return the object's kind and name, and both texts below them."""
        return f"{self.kind} {self.name}{self.texts}"


@dataclass(frozen=True, slots=True)
class Respelling:
    """An object that a rollback spells differently: its part of the fingerprint before and after the rollback."""

    was: str
    now: str


def differing(before: str, now: str) -> tuple[Differing, ...]:
    """Return the objects that do not mean the same in two fingerprints; none if the schemas mean the same."""
    if before == now:
        return ()
    old, new = _texts(before), _texts(now)
    names = {*_names(old), *_names(new)}
    odd = [each for each in dict.fromkeys([*old, *new]) if _meaning(each, old, names) != _meaning(each, new, names)]
    if not odd or _are_same(old, new, odd):
        return ()
    return tuple(Differing(kind, name, old.get((kind, name), ""), new.get((kind, name), "")) for kind, name in odd)


def respellings(before: str, now: str) -> tuple[Respelling, ...]:
    """Return the objects that both fingerprints contain, but spell differently."""
    old, new = _parts(before), _parts(now)
    return tuple(Respelling(part, new[each]) for each, part in old.items() if each in new and new[each] != part)


def respelled(fingerprint: str, found: Sequence[Respelling]) -> str:
    """Return a fingerprint in which these objects have the spelling that a rollback gives them."""
    others = {each.was: each.now for each in found}
    parts = [others.get(part, part) for part in _parts(fingerprint).values()]
    return "\n".join(sorted(parts, key=_place)) if others else fingerprint  # a name may sort elsewhere now


def with_texts(findings: Iterable[Finding], before: str, now: str) -> Iterator[Finding]:
    """Yield the findings again; the first about each object also shows both texts of the object in full.

    `before`, `now`: the fingerprints that have the texts.
    """
    old, new, shown = _texts(before), _texts(now), set[Object]()
    for each in findings:
        key = next((key for key in _candidates(each.place) if key in old or key in new), None)
        if key is None or key in shown:
            yield each
            continue
        shown.add(key)
        kind, name = key
        yield replace(each, cause=f"{each.cause}{Differing(kind, name, old.get(key, ''), new.get(key, '')).texts}")


def _candidates(place: str) -> Iterator[Object]:
    """Yield the objects that a finding's place may name, the longest name first: names may contain dots and spaces."""
    kind, _, name = place.partition(" ")
    if kind in _ORDER:
        yield kind, Name(name)
    ends = [len(place), *(at for at in range(len(place) - 1, 0, -1) if place[at] in ". ")]
    yield from (("table", Name(place[:end])) for end in ends)


def _place(part: str) -> tuple[bytes, bytes]:
    found = _HEAD.match(part)
    return (found[1].encode(), found[2].encode()) if found else (b"", b"")


def _split(fingerprint: str) -> Iterator[tuple[Object, str, str]]:
    """Yield each object of a fingerprint, with its whole part of the fingerprint, and the SQL text in that part."""
    found = [*_HEAD.finditer(fingerprint)]
    for each, after in zip(found, [*found[1:], None], strict=True):
        end = after.start() - 1 if after else len(fingerprint)
        yield (each[1], Name(each[2])), fingerprint[each.start() : end], fingerprint[each.end() : end]


def _parts(fingerprint: str) -> dict[Object, str]:
    return {each: part for each, part, _ in _split(fingerprint)}


def _texts(fingerprint: str) -> dict[Object, str]:
    return {each: text for each, _, text in _split(fingerprint)}


def _names(texts: Texts) -> set[Name]:
    """Return the names of all objects, and of all columns of tables."""
    columns = (each.column for (kind, _), sql in texts.items() if kind == "table" for each in definition.elements(sql))
    return {*(name for _, name in texts), *filter(None, columns)}


def _meaning(each: Object, texts: Texts, names: set[Name]) -> tuple[object, ...]:
    sql = texts.get(each)
    return () if sql is None else (definition.body(sql, names), definition.shown_names(sql))


def _are_same(old: Texts, new: Texts, odd: Sequence[Object]) -> bool:
    """Create both schemas in empty databases, and return True if the engine reads them as equal.

    Return False too if the engine cannot create an object in `odd`.
    """
    (was, made_before), (now, made_now) = _read(old), _read(new)
    if not {*odd} <= made_before & made_now:
        return False
    return not schema_diff(was, now) and not [*respelled_names(was, now)]


def _read(texts: Texts) -> tuple[Schema, set[Object]]:
    """Create the objects in an empty database; return the schema that the engine reads, and what it could create."""
    in_order = (sql for each in _ORDER for (kind, _), sql in texts.items() if kind == each and sql)
    with empty_clone(in_order) as connection:
        made = connection.execute("SELECT type, name FROM sqlite_schema").fetchall()
        return read_schema(connection), {(str(kind), Name(name)) for kind, name in made}
