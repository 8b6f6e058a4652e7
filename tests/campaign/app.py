"""The app that writes during releases, and a book that records each write as both schemas would hold it.

A write made on the new schema is recorded in the form of the old one too: that is what a rollback must turn it into.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from random import Random

from steps.support.gateways.database.protocol import Rows, StatementFailed
from steps.support.sql.change import DatabaseChange
from steps.support.sql.statement import Statement, Value
from steps.support.sql.tokens import first_word
from tests.support.virtual.clock import START
from tests.support.virtual.database import READS, MemoryDatabase, MemoryStore

NEW = "SELECT count(*) FROM pragma_table_info('systems') WHERE name = 'vendor_type'"
ZONES = (-210, 330, 570, 600, 630)  # minutes
READING = """INSERT INTO readings (system_id, inverter_time, received_time, solar_w, solar_inverter_w, shunt_w, load_w,
  battery_w, grid_w, battery_soc, fault_code, fault_timestamp, generator_status)
SELECT id, ?2, unixepoch(), 500, 500, 0, 300, 0, -200, 90.0, 0, 0, 0 FROM systems WHERE id = ?1"""
POLL = """INSERT INTO polling_status (system_id, last_poll_time, total_polls) SELECT id, unixepoch(), 1 FROM systems
WHERE id = ? ON CONFLICT (system_id) DO UPDATE SET last_poll_time = excluded.last_poll_time,
  total_polls = total_polls + 1, updated_at = unixepoch()"""
NAME = "UPDATE systems SET display_name = ?2, updated_at = unixepoch() WHERE id = ?1"
MODEL = "UPDATE systems SET model = ?2, serial = ?2, updated_at = unixepoch() WHERE id = ?1"
ZONE_OLD = "UPDATE systems SET timezone_offset = ?2 / 60.0, updated_at = unixepoch() WHERE id = ?1"
ZONE_NEW = "UPDATE systems SET timezone_offset_min = ?2, updated_at = unixepoch() WHERE id = ?1"
SYSTEM_OLD = """INSERT INTO systems (user_id, system_number, display_name, timezone_offset, owner_clerk_user_id)
VALUES (?1, iif(?2 = 'select.live', '', ?2 || ':') || ?3, ?4, 9.5, ?1)"""
SYSTEM_NEW = """INSERT INTO systems (owner_clerk_user_id, vendor_type, vendor_site_id, display_name, timezone_offset_min)
VALUES (?1, ?2, ?3, ?4, 570)"""
OWNER = """INSERT INTO user_systems (clerk_user_id, system_id, role)
SELECT owner_clerk_user_id, id, 'owner' FROM systems WHERE owner_clerk_user_id = ?1"""
GUEST = "INSERT INTO user_systems (clerk_user_id, system_id, role) SELECT ?2, id, 'viewer' FROM systems WHERE id = ?1"
GONE = "DELETE FROM systems WHERE owner_clerk_user_id LIKE 'app_%' AND id = ?1"
CRON = ("readings", "readings_agg_5m", "polling_status")  # the tables that the cron writes to
SOMEBODY = "CREATE TABLE somebody (id INTEGER PRIMARY KEY, note TEXT)"


Shown = dict[str, list[tuple[Value, ...]]]


@dataclass(frozen=True, slots=True)
class Write:
    """A write at a time, in the form of the old schema and of the new one; `is_new`: the new schema was in place."""

    at: float
    is_new: bool
    old: tuple[Statement, ...]
    new: tuple[Statement, ...]


@dataclass
class Book:
    """Every write of the app and of its cron, in order."""

    store: MemoryStore
    clock: Callable[[], float]
    writes: list[Write] = field(default_factory=list)

    def write(self, old: Iterable[Statement], new: Iterable[Statement]) -> None:
        """Write in the form of the present schema, and record the write if it succeeded."""
        write = Write(self.clock(), self.is_new, tuple(old), tuple(new))
        _execute(self.store, write.new if write.is_new else write.old)
        self.writes.append(write)

    def note(self, before: Shown) -> None:
        """Record the rows that the cron has written; they mean the same in both schemas."""
        statements = [statement for table in CRON for statement in _inserts(before, shown(self.store), table)]
        self.writes.append(Write(self.clock(), self.is_new, tuple(statements), tuple(statements)))

    @property
    def is_new(self) -> bool:
        """Return True if the new schema is in place."""
        return bool(self.store.connection.execute(NEW).fetchone()[0])

    def as_old(self, sample: bytes) -> MemoryStore:
        """Build the database expected on the old schema."""
        clock = Clock()
        store = MemoryStore(clock)
        store.restore(sample)
        for write in self.writes:
            clock.now = write.at
            _execute(store, write.old)
        return store

    def as_new(self, sample: bytes, change: DatabaseChange, committed: float) -> MemoryStore:
        """Build the database expected on the new schema, which was committed at that time."""
        clock = Clock()
        store = MemoryStore(clock)
        store.restore(sample)
        for write in (each for each in self.writes if not each.is_new):
            clock.now = write.at
            _execute(store, write.old)
        clock.now = committed
        store.connection.execute("PRAGMA foreign_keys=OFF")
        _execute(store, change.migrate)
        store.connection.execute("PRAGMA foreign_keys=ON")
        for write in (each for each in self.writes if each.is_new):
            clock.now = write.at
            _execute(store, write.new)
        return store


def shown(store: MemoryStore) -> Shown:
    """Return the rows of the tables that the cron writes to."""
    tables = (*CRON, "sqlite_sequence")
    return {table: store.connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}


def _inserts(before: Shown, after: Shown, table: str) -> list[Statement]:
    """Return statements that write the new rows themselves: rerunning the cron's SQL could choose other ids."""
    known = set(before[table])
    rows = [row for row in after[table] if row not in known]
    marks = ", ".join("?" * len(after[table][0])) if after[table] else ""
    inserts = [Statement(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", tuple(row)) for row in rows]
    last = next((seq for name, seq in after["sqlite_sequence"] if name == table), None)
    if rows and last is not None:
        inserts.append(Statement("UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1", (table, last)))
    return inserts


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: float = START

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def _execute(store: MemoryStore, statements: Iterable[Statement]) -> None:
    with closing(store.connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement.sql, statement.args)
            cursor.fetchall()


class Served(MemoryDatabase):
    """The database as the site reaches it; writes of the site's cron are recorded."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.book: Book | None = None

    async def query(self, statement: Statement) -> Rows:
        """Run one statement on its own, and record it if it writes; see Database."""
        if self.book is None or first_word(statement.sql) in READS:
            return await super().query(statement)
        await asyncio.sleep(0)
        before = shown(self._store)
        rows = self._run(statement)
        self.book.note(before)
        return rows


class App:
    """An app that writes at random intervals."""

    def __init__(self, book: Book, rng: Random, pace: float) -> None:
        self._book, self._rng, self._pace = book, rng, pace
        self._serial = 0

    async def writing(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / self._pace))
            self.write()

    def write(self) -> None:
        """Write once, at random."""
        self._serial += 1
        ids = [number for (number,) in self._book.store.connection.execute("SELECT id FROM systems ORDER BY id")]
        old, new = self._draw(self._rng.choice(ids), self._serial)
        self._book.write(old, new)

    def _draw(self, system: Value, serial: int) -> tuple[list[Statement], list[Statement]]:
        kind = self._rng.choice(
            ("reading", "reading", "reading", "poll", "name", "model", "zone", "system", "guest", "gone")
        )
        if kind == "zone":
            zone = self._rng.choice(ZONES)
            return [Statement(ZONE_OLD, (system, zone))], [Statement(ZONE_NEW, (system, zone))]
        if kind == "guest":
            return [], [Statement(GUEST, (system, f"guest_{serial}"))]
        if kind == "system":
            vendor = self._rng.choice(("select.live", "enphase")) if self._book.is_new else "select.live"
            values = (f"app_{serial}", vendor, f"site-{serial}", f"System {serial} of the app")
            old = [Statement(SYSTEM_OLD, values)]
            return old, [Statement(SYSTEM_NEW, values), Statement(OWNER, values[:1])]
        plain = {
            "reading": Statement(READING, (system, 1_500_000_000 + serial)),
            "poll": Statement(POLL, (system,)),
            "name": Statement(NAME, (system, f"Name {serial}")),
            "model": Statement(MODEL, (system, f"M-{serial}")),
            "gone": Statement(GONE, (system,)),
        }
        return [plain[kind]], [plain[kind]]


def create_table_of_others(book: Book) -> None:
    """Create another person's table."""
    with suppress(StatementFailed):
        made = [Statement(SOMEBODY)]
        book.write(made, made)
