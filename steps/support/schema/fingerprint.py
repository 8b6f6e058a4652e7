"""The fingerprint of a schema: the text of every object in it; and two fingerprints compared by meaning.

Quotes, spaces, comments and the case of keywords make no difference. What the local engine cannot create, because only
the server knows it, is compared by its tokens.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from steps.support.schema import definition
from steps.support.schema.clone import empty_clone
from steps.support.schema.diff import respelled_names, schema_diff
from steps.support.schema.reading import Schema, read_schema
from steps.support.schema.text import Name
from steps.support.sql.findings import Finding

Object = tuple[str, Name]  # its type and its name
Texts = Mapping[Object, str]

_HEAD = re.compile(r"^(table|index|trigger|view)\|(.*?)\|(?=CREATE |\n|\Z)", re.MULTILINE)
_ORDER = ("table", "view", "index", "trigger")  # in which they can be created


@dataclass(frozen=True, slots=True)
class Differing:
    """An object with another meaning than before, and both of its texts: one is empty if the object is not there."""

    kind: str
    name: str
    before: str
    now: str

    @property
    def texts(self) -> str:
        """Return both texts, whole, on lines of their own."""
        return f"\n  before: {self.before or '(none)'}\n  now: {self.now or '(none)'}"

    def __str__(self) -> str:
        """Return its name, then both texts."""
        return f"{self.kind} {self.name}{self.texts}"


@dataclass(frozen=True, slots=True)
class Respelling:
    """An object that a rollback leaves in other letters: its part of the fingerprint before the change, and after."""

    was: str
    now: str


def differing(before: str, now: str) -> tuple[Differing, ...]:
    """Return the objects of two fingerprints that do not mean the same; none if the schemas are the same."""
    if before == now:
        return ()
    old, new = _texts(before), _texts(now)
    names = {*_names(old), *_names(new)}
    odd = [each for each in dict.fromkeys([*old, *new]) if _meaning(each, old, names) != _meaning(each, new, names)]
    if not odd or _are_same(old, new, odd):
        return ()
    return tuple(Differing(kind, name, old.get((kind, name), ""), new.get((kind, name), "")) for kind, name in odd)


def respellings(before: str, now: str) -> tuple[Respelling, ...]:
    """Return the objects of both fingerprints whose letters differ."""
    old, new = _parts(before), _parts(now)
    return tuple(Respelling(part, new[each]) for each, part in old.items() if each in new and new[each] != part)


def respelled(fingerprint: str, found: Sequence[Respelling]) -> str:
    """Return a fingerprint with these objects in their other letters."""
    others = {each.was: each.now for each in found}
    parts = [others.get(part, part) for part in _parts(fingerprint).values()]
    return "\n".join(sorted(parts, key=_place)) if others else fingerprint  # a name may sort elsewhere now


def with_texts(findings: Iterable[Finding], before: str, now: str) -> Iterator[Finding]:
    """Add both texts of an object, whole, to the first finding about it."""
    old, new, told = _texts(before), _texts(now), set[Object]()
    for each in findings:
        of = next((key for key in _candidates(each.place) if key in old or key in new), None)
        if of is None or of in told:
            yield each
            continue
        told.add(of)
        kind, name = of
        yield replace(each, cause=f"{each.cause}{Differing(kind, name, old.get(of, ''), new.get(of, '')).texts}")


def _candidates(place: str) -> Iterator[Object]:
    """Yield the objects that a place may mean, the longest name first: a name may contain a dot or a space."""
    kind, _, name = place.partition(" ")
    if kind in _ORDER:
        yield kind, Name(name)
    ends = [len(place), *(at for at in range(len(place) - 1, 0, -1) if place[at] in ". ")]
    yield from (("table", Name(place[:end])) for end in ends)


def _place(part: str) -> tuple[bytes, bytes]:
    found = _HEAD.match(part)
    return (found[1].encode(), found[2].encode()) if found else (b"", b"")


def _split(fingerprint: str) -> Iterator[tuple[Object, str, str]]:
    """Yield each object with its part of the fingerprint, and the text in it."""
    found = [*_HEAD.finditer(fingerprint)]
    for each, after in zip(found, [*found[1:], None], strict=True):
        end = after.start() - 1 if after else len(fingerprint)
        yield (each[1], Name(each[2])), fingerprint[each.start() : end], fingerprint[each.end() : end]


def _parts(fingerprint: str) -> dict[Object, str]:
    return {each: part for each, part, _ in _split(fingerprint)}


def _texts(fingerprint: str) -> dict[Object, str]:
    return {each: text for each, _, text in _split(fingerprint)}


def _names(texts: Texts) -> set[Name]:
    """Return the names of all objects and columns."""
    columns = (each.column for (kind, _), sql in texts.items() if kind == "table" for each in definition.elements(sql))
    return {*(name for _, name in texts), *filter(None, columns)}


def _meaning(each: Object, texts: Texts, names: set[Name]) -> tuple[object, ...]:
    sql = texts.get(each)
    return () if sql is None else (definition.body(sql, names), definition.shown_names(sql))


def _are_same(old: Texts, new: Texts, odd: Sequence[Object]) -> bool:
    """Return True if the engine reads the same from the texts that differ; False if it cannot create one of them."""
    (was, made_before), (now, made_now) = _read(old), _read(new)
    if not {*odd} <= made_before & made_now:
        return False
    return not schema_diff(was, now) and not [*respelled_names(was, now)]


def _read(texts: Texts) -> tuple[Schema, set[Object]]:
    """Create a schema in an empty database, as far as the local engine can; return it, and what was created."""
    with empty_clone(sql for kind in _ORDER for (its, _), sql in texts.items() if its == kind and sql) as connection:
        made = connection.execute("SELECT type, name FROM sqlite_schema").fetchall()
        return read_schema(connection), {(str(kind), Name(name)) for kind, name in made}
