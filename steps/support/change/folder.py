"""Read a change from its SQL folder: migration, rollback, checks, contracts and writes."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from steps.support.change.one_transaction import in_one_transaction, sections, switches_foreign_keys_off
from steps.support.sql import directives
from steps.support.sql.change import DatabaseChange
from steps.support.sql.checks import check_findings, checks
from steps.support.sql.contract import contract_in
from steps.support.sql.findings import (
    FILES,
    MIGRATE,
    NEW_CODE,
    OLD_CODE,
    ROLLBACK,
    SAMPLE,
    VERIFY,
    VERIFY_ROLLBACK,
    WRITES,
    BadSql,
    Finding,
    place,
)
from steps.support.sql.lookalikes import invalid_directives, repeated_directives
from steps.support.sql.refusals import query_refusals, refusals
from steps.support.sql.script import Script, read_script_text, require_whole
from steps.support.sql.statement import Statement
from steps.support.sql.verbs import as_count

CODE_ONLY = "code only"  # the name of a change whose migrate.sql is missing or empty
_REMEDIES = {
    SAMPLE: "Write SQL that creates a small database as it is before the change, or pass your own with --copy FILE."
}
_EMPTY = "Create the file; if it has nothing to do, write a comment into it."


def read_change(folder: Path, *, sample: bool = False) -> DatabaseChange:
    """Read a folder and return its change. Raise BadSql with every problem in every file.

    If the release changes code only, each missing file counts as empty. `sample`: whether sample.sql must be readable,
    too; only a rehearsal on stand-ins needs that file.
    """
    needed = not changes_code_alone(folder)
    contents = {name: _content(folder / name, name, needed=needed) for name in (*FILES, *([SAMPLE] * sample))}
    missing = [content for content in contents.values() if isinstance(content, Finding)]
    raw = {name: content for name, content in contents.items() if isinstance(content, bytes)}
    texts = {name: content.decode("utf-8-sig", errors="replace") for name, content in raw.items()}
    scripts = {name: read_script_text(text, name) for name, text in texts.items()}
    if findings := [*missing, *_not_utf8(raw), *_wrong(scripts), *_wrong_contracts(scripts)]:
        raise BadSql(subject=str(folder), findings=findings)
    return _change(raw[MIGRATE], scripts, texts)


def changes_code_alone(folder: Path) -> bool:
    """Return True if the release changes code only: migrate.sql has no statement, or there is no SQL at all.

    Return False if migrate.sql is probably missing by mistake: the folder has other scripts, or the folder does not
    exist and another folder in the same place has a migrate.sql.
    """
    try:
        text = (folder / MIGRATE).read_bytes().decode("utf-8-sig", errors="replace")
    except FileNotFoundError:
        elsewhere = () if folder.exists() else folder.parent.glob(f"*/{MIGRATE}")
        return not any(path.name != SAMPLE for path in (*folder.glob("*.sql"), *elsewhere))
    except OSError:
        return False
    script = read_script_text(text, MIGRATE)
    return not (script.pieces or script.findings)


def text_of(folder: Path, name: str) -> str:
    """Return the text of a file in the folder; empty if the file is missing, as in a release of code alone."""
    path = folder / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def read_script(text: str, name: str) -> tuple[Statement, ...]:
    """Return the statements of migrate.sql or rollback.sql that run in the tool's one transaction.

    Raise BadSql if the last statement does not end.
    """
    return _run(in_one_transaction(require_whole(read_script_text(text, name))).script)


def _run(script: Script) -> tuple[Statement, ...]:
    """Return the statements of a script as they run. Queries only count their rows, because nothing reads the rows."""
    return tuple(map(as_count, script.statements))


def _change(content: bytes, scripts: Mapping[str, Script], texts: Mapping[str, str]) -> DatabaseChange:
    digest = hashlib.sha256(content).hexdigest()
    migrate, rollback = (in_one_transaction(scripts[name]) for name in (MIGRATE, ROLLBACK))
    return DatabaseChange(
        name=directives.name_of(scripts[MIGRATE]) or (digest if content else CODE_ONLY),
        sha256=digest,
        migrate=_run(migrate.script),
        rollback=_run(rollback.script),
        verify=checks(scripts[VERIFY]),
        verify_rollback=checks(scripts[VERIFY_ROLLBACK]),
        rollback_text=texts[ROLLBACK],
        verify_rollback_text=texts[VERIFY_ROLLBACK],
        changes=directives.changes_of(scripts[MIGRATE]),
        changed_columns=directives.changed_columns_of(scripts[MIGRATE]),
        scripts=(migrate.script, rollback.script),
        old_code=contract_in(scripts[OLD_CODE]),
        new_code=contract_in(scripts[NEW_CODE]),
        writes=scripts[WRITES].statements,
        allowed=(*directives.waivers_in(scripts[MIGRATE]), *directives.waivers_in(scripts[ROLLBACK])),
        notes=(*migrate.notes, *rollback.notes),
        keys_off=tuple(name for name in (MIGRATE, ROLLBACK) if switches_foreign_keys_off(scripts[name])),
    )


def _content(path: Path, name: str, *, needed: bool) -> bytes | Finding:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b"" if not needed else Finding(name, "the file is missing", _REMEDIES.get(name, _EMPTY))
    except OSError as error:
        return Finding(name, f"the file cannot be read ({error.strerror})", "Make it a readable file.")


def _not_utf8(raw: Mapping[str, bytes]) -> Iterator[Finding]:
    for name, content in raw.items():
        try:
            content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            yield Finding(place(name, line), "the text is not UTF-8", "Save the file as UTF-8.")


def _wrong(scripts: Mapping[str, Script]) -> Iterator[Finding]:
    for name, script in scripts.items():
        yield from script.findings
        yield from JUDGES[name](script)
    runs = {name for name in (MIGRATE, ROLLBACK) if name in scripts and in_one_transaction(scripts[name]).script.pieces}
    if ROLLBACK in scripts and runs == {MIGRATE}:
        yield Finding(
            ROLLBACK, "it has no statement, although migrate.sql has some", "Write statements that revert migrate.sql."
        )


def _wrong_script(script: Script) -> Iterator[Finding]:
    yield from invalid_directives(script)
    yield from repeated_directives(script) if script.name == MIGRATE else ()
    yield from sections(script)
    taken = in_one_transaction(script)
    yield from (*taken.refused, *refusals(taken.script.pieces, script.name))


def _wrong_questions(script: Script) -> Iterator[Finding]:
    yield from query_refusals(script.pieces, script.name)
    yield from check_findings(script)


def _wrong_sample(_script: Script) -> Iterator[Finding]:
    """Yield nothing: a sample may contain every statement that the engine accepts."""
    return iter(())


def _wrong_app(script: Script) -> Iterator[Finding]:
    """Yield findings about a file of the app's own statements."""
    yield from invalid_directives(script)
    yield from refusals(script.pieces, script.name)


JUDGES: Mapping[str, Callable[[Script], Iterator[Finding]]] = {
    MIGRATE: _wrong_script,
    ROLLBACK: _wrong_script,
    VERIFY: _wrong_questions,
    VERIFY_ROLLBACK: _wrong_questions,
    OLD_CODE: _wrong_app,
    NEW_CODE: _wrong_app,
    WRITES: _wrong_app,
    SAMPLE: _wrong_sample,
}


def _wrong_contracts(scripts: Mapping[str, Script]) -> Iterator[Finding]:
    for name in (OLD_CODE, NEW_CODE):
        if name not in scripts or scripts[name].findings:
            continue
        try:
            contract_in(scripts[name])
        except BadSql as bad:
            yield from bad.findings
