"""The runbook's worked example goes through, and what it warns of is refused in the words that it shows."""

import json
import re
import sys
from pathlib import Path

import pytest

from steps.support.sql.findings import FILES
from tests.docs.runbook.page import TEXT, block, shell
from tests.support.paths import ROOT
from tests.support.production.sample import SQL
from tests.support.proof.proofs import tried

SHOWN = r"^`([\w./]+\.(?:sql|toml))`[^\n]*\n\n```(?:sql|toml)\n(.*?)^```$"
EXAMPLE: dict[str, str] = dict(re.findall(SHOWN, TEXT, re.DOTALL | re.MULTILINE))


def test_worked_example_passes_the_rehearsal(sqld_binary: Path, tmp_path: Path) -> None:
    """Its files go through the whole rehearsal; journal and backup are read as the runbook says."""
    assert {*FILES, "change.toml"} == set(EXAMPLE)
    for name, text in EXAMPLE.items():
        path = tmp_path / (name if name.endswith(".toml") else f"change/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    script = block("change.toml").replace("cp sql/", f"cp {SQL}/")
    tool = script.replace("uv run python orchestrate.py", f"{sys.executable} {ROOT / 'orchestrate.py'}")
    shell(f"set -e\n{tool}", tmp_path, ORCHESTRATE_REHEARSAL__SQLD=str(sqld_binary))
    runs = sorted((tmp_path / "runs").iterdir())
    reports = [json.loads((run / "report.json").read_text()) for run in runs]
    assert [each["verdict"] for each in reports] == ["rehearsed", "rolled_back"]
    assert [each["rehearsal"]["lossless"] for each in reports] == [True, True]
    opening = block("gunzip").splitlines()[:3]
    assert shell("\n".join(opening), tmp_path, RUN=runs[0].name) == "ok\n"
    assert '"before"' in shell(block("grep -o"), tmp_path, RUN=runs[0].name)


@pytest.mark.anyio
async def test_example_without_its_first_statement_is_refused_as_shown(sqld_binary: Path, tmp_path: Path) -> None:
    """Without its first statement rollback.sql is refused, in the words that the runbook shows."""
    files = {name: text for name, text in EXAMPLE.items() if name != "change.toml"}
    files["rollback.sql"] = files["rollback.sql"].partition(";")[2]
    files["verify_rollback.sql"] = files["verify_rollback.sql"].partition("-- check: notes")[0]
    came = await tried(sqld_binary, tmp_path, (SQL / "sample.sql").read_text(encoding="utf-8"), files)
    shown = re.search(r"^    (proving system-notes.*?)\n\n", TEXT, re.DOTALL | re.MULTILINE)
    assert shown
    assert " ".join(shown[1].split()) in " ".join(came.said.split())
    assert came.untouched
