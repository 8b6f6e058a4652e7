"""The workflows: what they may do, and that every command in them is valid."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from orchestrate import parse
from steps.support.config.settings import BudgetSettings, RehearsalSettings, Secrets, Settings
from steps.support.run.budget import PREFLIGHT
from tests.support.paths import ROOT

FOLDER = ROOT / ".github/workflows"
NAMES = ("ci.yml", "deploy.yml")
CALL = re.compile(r"orchestrate\.py (.*?)\s*(?:;;|$)", re.MULTILINE)
WHERE_SET = re.compile(r"\$\{(\w+):\+(.*?\"\$\1\")\}")  # a word that is there where its variable is not empty
KEPT = {"runs/*/report.json", "runs/*/report.html", "runs/*/journal.jsonl"}
PREPARING = 600  # seconds for checking out and installing

Table = dict[str, Any]


def _workflow(name: str) -> Table:
    loaded = yaml.safe_load((FOLDER / name).read_text())
    return {"on" if key is True else key: value for key, value in loaded.items()}  # YAML reads `on` as true


def _steps(job: Table) -> Iterator[Table]:
    yield from job["steps"]


def _every_step(name: str) -> list[Table]:
    return [step for job in _workflow(name)["jobs"].values() for step in _steps(job)]


def _calls(job: Table) -> list[list[str]]:
    calls = [words for step in _steps(job) for words in CALL.findall(step.get("run", ""))]
    return [shlex.split(form) for words in calls for form in (WHERE_SET.sub("", words), WHERE_SET.sub(r"\2", words))]


@pytest.mark.parametrize("name", NAMES)
def test_actions_and_machines_are_pinned(name: str) -> None:
    """Every action has one exact version, and no machine is `latest`."""
    used = [step["uses"] for step in _every_step(name) if "uses" in step]
    assert used
    assert [each for each in used if not re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", each)] == []
    assert {job["runs-on"] for job in _workflow(name)["jobs"].values()} == {"ubuntu-24.04"}


@pytest.mark.parametrize("name", NAMES)
def test_workflows_may_only_read(name: str) -> None:
    """No job can write to this repository, and no checkout of it leaves a token behind."""
    workflow = _workflow(name)
    granted = [workflow["permissions"], *(job.get("permissions", {}) for job in workflow["jobs"].values())]
    assert {right for rights in granted for right in rights.values()} == {"read"}
    own = [step["with"] for step in _every_step(name) if "actions/checkout" in step.get("uses", "")]
    assert [each for each in own if "repository" not in each and each["persist-credentials"] is not False] == []


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_never_part_of_a_script(name: str) -> None:
    """Inputs and names reach a shell only as variables, in quotes."""
    scripts = [step["run"] for step in _every_step(name) if "run" in step]
    assert [script for script in scripts if "${{" in script] == []
    bare = [word for script in scripts for word in re.findall(r'(?<!["/])\$\w+', script)]
    assert bare == []


def test_every_call_of_the_tool_is_valid() -> None:
    """The command line itself parses each call; each is the process that gets the signals."""
    jobs = _workflow("deploy.yml")["jobs"]
    for job in jobs.values():
        for step in _steps(job):
            script = step.get("run", "")
            assert script.count("orchestrate.py") == script.count("exec .venv/bin/python orchestrate.py")
    assert {parse(words).prod for words in _calls(jobs["rehearse"])} == {False}
    modes = [parse(words) for words in _calls(jobs["production"])]
    told = {(each.dry_run, each.rollback, each.yes) for each in modes}
    assert told == {(True, None, False), (False, None, True), (False, "$RUN", True)}
    assert {str(each.config) for each in modes} == {"None", "$CONFIG"}


def test_production_is_touched_only_in_its_environment() -> None:
    """Every --prod waits for the environment's reviewers; nothing else has a secret; the default is a rehearsal."""
    workflow = _workflow("deploy.yml")
    jobs, mode = workflow["jobs"], workflow["on"]["workflow_dispatch"]["inputs"]["mode"]
    assert mode["default"] == "dry-run"
    assert set(workflow["on"]) == {"workflow_dispatch"}
    for job in jobs.values():
        is_production = job.get("environment") == "production"
        assert is_production == ("secrets." in str(job)) == any(parse(words).prod for words in _calls(job))
    assert (jobs["rehearse"]["if"], jobs["production"]["if"]) == (
        "inputs.mode == 'dry-run'",
        "inputs.mode != 'dry-run'",
    )
    script = next(step["run"] for step in _steps(jobs["production"]) if "orchestrate.py" in step.get("run", ""))
    assert {"dry-run", *re.findall(r"^ *([\w-]+)\) exec", script, re.MULTILINE)} == set(mode["options"])


def test_releases_are_serial_and_never_cancelled() -> None:
    """A running release is not cancelled by the next, and has time for all its limits and the rollback."""
    job = _workflow("deploy.yml")["jobs"]["production"]
    assert job["concurrency"] == {"group": "production", "cancel-in-progress": False}
    budget, rehearsal = BudgetSettings(), RehearsalSettings()
    looks = 9 * PREFLIGHT + 2 * rehearsal.most_seconds
    clock = budget.build + budget.reserve + budget.total + budget.reserve
    assert job["timeout-minutes"] * 60 >= PREPARING + looks + clock


def test_secrets_have_the_names_that_the_tool_reads() -> None:
    """Every secret of the settings is passed under its own name, to the one step that runs the tool."""
    job = _workflow("deploy.yml")["jobs"]["production"]
    telling = [step for step in _steps(job) if "secrets." in str(step)]
    handed = {key: value for step in telling for key, value in step.get("env", {}).items() if "secrets." in value}
    assert handed == {name.upper(): f"${{{{ secrets.{name.upper()} }}}}" for name in Secrets.model_fields}
    assert [step.get("with", {}).get("token") for step in telling] == ["${{ secrets.APP_TOKEN }}", None]


def test_settings_have_the_names_that_the_tool_reads() -> None:
    """Every variable of the tool that a job sets is a setting: where the runs are, and where the app is."""
    named = [name for job in _workflow("deploy.yml")["jobs"].values() for name in job["env"]]
    assert set(named) == {"ORCHESTRATE_RUNS", "ORCHESTRATE_REPOSITORY"}
    assert {name.removeprefix("ORCHESTRATE_").lower() for name in named} <= Settings.model_fields.keys()


def test_reports_are_uploaded_but_copies_of_production_are_not() -> None:
    """Journal and report are uploaded however the run ends; the backup beside them is not."""
    uploads = [step for step in _every_step("deploy.yml") if "upload-artifact" in step.get("uses", "")]
    assert len(uploads) == len(_workflow("deploy.yml")["jobs"])
    for step in uploads:
        assert step["if"] == "always()"
        assert set(step["with"]["path"].split()) == KEPT


def test_app_is_checked_out_completely_and_can_be_pushed() -> None:
    """The release's and all earlier commits are there, on the branch itself, and git may push them."""
    steps = list(_steps(_workflow("deploy.yml")["jobs"]["production"]))
    app = next(step["with"] for step in steps if "repository" in step.get("with", {}))
    assert (app["fetch-depth"], app["persist-credentials"], app["path"]) == (0, True, "app")
    assert any("git -C app merge --ff-only" in step.get("run", "") for step in steps)


def test_ci_runs_the_projects_own_script() -> None:
    """CI checks a commit with .ci/run, on a Python that the project supports."""
    (job,) = _workflow("ci.yml")["jobs"].values()
    assert [step["run"] for step in _steps(job) if "run" in step] == [".ci/run"]
    (python,) = [step["with"]["python-version"] for step in _steps(job) if "setup-python" in step.get("uses", "")]
    assert python.startswith("3.11.")
