"""Configuration: every gap and mistake is reported at once, each with the name to fix it by."""

import asyncio
from hashlib import sha256
from pathlib import Path

import pytest

from steps.support.config import settings
from steps.support.config.loading import (
    Misconfigured,
    for_production,
    load,
    secret_values,
    target,
    target_id,
    target_ids,
)
from steps.support.proof.config import LockLimits
from steps.support.run.wiring import health_checks, production, proof_settings


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings.Secrets.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def _config(folder: Path, text: str) -> Path:
    path = folder / "orchestrate.toml"
    path.write_text(text)
    return path


def test_defaults_are_as_documented(tmp_path: Path) -> None:
    """An empty table gives the documented defaults, and relative folders are beside the file."""
    loaded = load(_config(tmp_path, ""))
    assert (loaded.remote, loaded.branch, loaded.budget.total, loaded.budget.reserve) == ("origin", "main", 120, 30)
    assert (loaded.sql, loaded.runs) == (tmp_path / "sql", tmp_path / "runs")
    assert loaded.limits.of_steps == {"pause_crons": 5, "git_push": 10, "deploy_command": 75, "vercel_deployment": 75, "turso_migration": 15, "verification_query": 5, "activation": 15, "health_checks": 20}  # fmt: skip
    assert (loaded.limits.lock, loaded.limits.lock_bytes, loaded.turso.sole_writer) == (1, 20_000_000, False)


def test_writer_limits_reach_the_rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits, and the user's word that nothing else writes, reach the proof, from file or environment."""
    monkeypatch.setenv("TURSO_DATABASE_URL", "libsql://db.example")
    monkeypatch.setenv("VERCEL_TOKEN", "token")
    monkeypatch.setenv("CRON_SECRET", "token")
    monkeypatch.setenv("SITE_AUTH_TOKEN", "token")
    text = f'repository = "{tmp_path}"\nsite = "https://x.example"\n[vercel]\nproject = "x"\n'
    loaded = load(_config(tmp_path, text + "[turso]\nsole_writer = true\n[limits]\nlock = 0.5\nlock_bytes = 7\n"))
    assert proof_settings(for_production(loaded)).allowed == LockLimits(0.5, 7, sole_writer=True)
    assert proof_settings(load(_config(tmp_path, ""))).allowed == LockLimits(1, 20_000_000)


@pytest.mark.parametrize("seconds", ["0", "-1", "5.1", "nan", "inf"])
def test_lock_limit_is_bounded_by_the_server(tmp_path: Path, seconds: str) -> None:
    """A limit beyond what a server allows is one clear message, with the variable to set."""
    with pytest.raises(Misconfigured, match=r"limits\.lock: it must be above 0, and at most 5: .+LIMITS__LOCK"):
        load(_config(tmp_path, f"[limits]\nlock = {seconds}\n"))


def test_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key can be set as ORCHESTRATE_<KEY>, with two underscores between levels."""
    monkeypatch.setenv("ORCHESTRATE_BRANCH", "release")
    monkeypatch.setenv("ORCHESTRATE_BUDGET__TOTAL", "60")
    loaded = load(_config(tmp_path, 'branch = "main"\n[budget]\nreserve = 20\n'))
    assert (loaded.branch, loaded.budget.total, loaded.budget.reserve) == ("release", 60, 20)


def test_all_mistakes_are_reported_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown keys, wrong types, wrong ranges and unknown variables are in one message, with the variable to set."""
    monkeypatch.setenv("ORCHESTRATE_BRNACH", "x")
    with pytest.raises(Misconfigured) as caught:
        load(
            _config(
                tmp_path, 'brunch = "x"\n[budget]\ntotal = "soon"\n[limits]\ngit_push = -1\n[[health]]\npath = "/x"\n'
            )
        )
    text = str(caught.value)
    for expected in (
        "brunch",
        "budget.total",
        "ORCHESTRATE_BUDGET__TOTAL",
        "limits.git_push",
        "health.0.name",
        "ORCHESTRATE_BRNACH",
    ):
        assert expected in text


def test_reserve_larger_than_the_budget_is_refused(tmp_path: Path) -> None:
    """Time for the rollback is part of the whole."""
    with pytest.raises(Misconfigured, match="reserve must be smaller than total"):
        load(_config(tmp_path, "[budget]\ntotal = 20\nreserve = 30\n"))


@pytest.mark.parametrize(("text", "words"), [("branch = ", "is not TOML"), (None, "No such file")])
def test_unreadable_file_is_named(tmp_path: Path, text: str | None, words: str) -> None:
    """A file that is missing or not TOML is one clear message."""
    path = tmp_path / "missing.toml" if text is None else _config(tmp_path, text)
    with pytest.raises(Misconfigured, match=words):
        load(path)


def test_production_names_every_missing_setting(tmp_path: Path) -> None:
    """Settings needed only for production are requested in one message, including the health checks' secrets."""
    with pytest.raises(Misconfigured) as caught:
        for_production(load(_config(tmp_path, 'site = "liveone.example"\nrepository = "nowhere"')))
    text = str(caught.value)
    for expected in (
        "vercel.project",
        "TURSO_DATABASE_URL",
        "VERCEL_TOKEN",
        "CRON_SECRET",
        "SITE_AUTH_TOKEN",
        "nowhere",
        "not an http(s) address",
    ):
        assert expected in text


def test_secrets_come_from_the_environment_or_a_dotenv_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A .env file is read, the environment overrides it, check headers are filled in, and printing shows none."""
    (tmp_path / ".env").write_text("VERCEL_TOKEN=from-file\nCRON_SECRET=cron-from-file\nUNRELATED=x\n")
    monkeypatch.setenv("VERCEL_TOKEN", "from-environment")
    monkeypatch.setenv("SITE_AUTH_TOKEN", "visitor")
    monkeypatch.setenv("TURSO_DATABASE_URL", "libsql://db.example")
    loaded = for_production(
        load(_config(tmp_path, 'site = "https://liveone.example"\nrepository = "."\n[vercel]\nproject = "liveone"'))
    )
    cron, data = health_checks(loaded, loaded.secrets.environment())
    assert sorted(loaded.secrets.values()) == ["cron-from-file", "from-environment", "visitor"]
    assert cron.request.headers == {"Authorization": "Bearer cron-from-file"}
    assert data.request.headers == {"Cookie": "auth-token=visitor"}
    assert "from-environment" not in repr(loaded) + str(loaded.model_dump())


def test_secrets_in_the_table_are_refused(tmp_path: Path) -> None:
    """A token does not belong in a file that is committed."""
    with pytest.raises(Misconfigured, match="vercel_token"):
        load(_config(tmp_path, 'vercel_token = "x"'))


def test_key_with_control_characters_is_one_line(tmp_path: Path) -> None:
    """A key of a foreign configuration is shown, and produces neither lines nor colours."""
    with pytest.raises(Misconfigured) as caught:
        load(_config(tmp_path, '"\\n  all is well\\u001b[2J" = 1\n'))
    assert "\\n  all is well\\x1b[2J: there is no such setting" in str(caught.value)


def test_objects_with_a_key_do_not_show_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, secrets, checks and gateways can be printed: no key is in their text."""
    monkeypatch.setenv("SITE_AUTH_TOKEN", "hidden-visitor")
    for name in ("VERCEL_TOKEN", "TURSO_AUTH_TOKEN", "CRON_SECRET", "VERCEL_AUTOMATION_BYPASS_SECRET"):
        monkeypatch.setenv(name, f"hidden-{name}")
    lines = 'site = "https://liveone.example"\nrepository = "."\n[vercel]\nproject = "x"\n[turso]\nurl = "https://db.example"'
    loaded = for_production(load(_config(tmp_path, lines)))
    checks = health_checks(loaded, loaded.secrets.environment())

    async def gateways() -> list[object]:
        async with production(loaded) as gateways:
            database: object = gateways.turso.database
            return [gateways, *(getattr(gateways, name) for name in ("git", "vercel", "turso", "site")), database]

    for shown in (loaded, loaded.secrets, checks, [each.request for each in checks], *asyncio.run(gateways())):
        assert "hidden" not in repr(shown) + str(shown)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('branch = "-x"', "branch: git does not allow this name"),
        ('branch = "a b"', "branch: git does not allow this name"),
        ('branch = "a:refs/heads/b"', "branch: git does not allow this name"),
        ('branch = "a..b"', "branch: git does not allow this name"),
        ('branch = "a\\u001b[2J"', "branch: git does not allow this name"),
        ('branch = ""', "branch: git does not allow this name"),
        ('remote = "--upload-pack=x"', "remote: git does not allow this name"),
        ('remote = "ext::sh -c x"', "remote: git does not allow this name"),
        ('remote = "a\\nb"', "remote: git does not allow this name"),
        ('[[health]]\nname = "x"\npath = "https://elsewhere.example/"', "must begin with one slash"),
        ('[[health]]\nname = "x"\npath = "//elsewhere.example/"', "must begin with one slash"),
        ('[[health]]\nname = "x"\npath = "/a\\nb"', "must begin with one slash"),
        ('[[health]]\nname = "x"\npath = "/a"\nbefore = { path = "@elsewhere.example" }', "must begin with one slash"),
        ('[[health]]\nname = "x"\npath = "/a"\nheaders = { Cookie = "a\\r\\nX: y" }', "not allowed in a header"),
        ('[[health]]\nname = "x"\npath = "/a"\nheaders = { "X: y" = "a" }', "not allowed in a header"),
        ('[[health]]\nname = "x"\npath = "/a"\nheaders = { Cookie = "ü" }', "not allowed in a header"),
    ],
)
def test_ambiguous_values_are_refused(tmp_path: Path, line: str, words: str) -> None:
    """Option-like or address-like names, paths to other hosts and multiline headers stop before anything."""
    with pytest.raises(Misconfigured) as caught:
        load(_config(tmp_path, line))
    assert words in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("name", ["main", "release/2024-10", "feature_x.y", "ünïcode", "a@b"])
def test_plain_branch_names_are_accepted(tmp_path: Path, name: str) -> None:
    """Every usual branch name is accepted."""
    assert load(_config(tmp_path, f'branch = "{name}"')).branch == name


@pytest.mark.parametrize("value", ["a\nb", "a\x00b".replace("\0", "\x07"), "tökén"])
def test_unsendable_key_is_reported_but_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A key with a line break or a strange character is a mistake of the settings, named and not repeated."""
    for name in ("VERCEL_TOKEN", "CRON_SECRET", "MY_KEY"):
        monkeypatch.setenv(name, value)
    check = '[[health]]\nname = "x"\npath = "/a"\nheaders = { Cookie = "k=$MY_KEY" }'
    with pytest.raises(Misconfigured) as caught:
        for_production(load(_config(tmp_path, check)))
    text = str(caught.value)
    assert all(f"{name}: it contains characters" in text for name in ("VERCEL_TOKEN", "CRON_SECRET", "MY_KEY"))
    assert value not in text


def test_notify_urls_accepts_several_lines_and_is_secret(tmp_path: Path) -> None:
    """The .env file has one address per line; a wrong one is no mistake of the settings, and none is shown."""
    (tmp_path / ".env").write_text('NOTIFY_URLS="json://me:s3cret@hook.example\nnönsense"\n')
    with pytest.raises(Misconfigured) as caught:
        for_production(load(_config(tmp_path, "")))
    assert "NOTIFY_URLS" not in str(caught.value)
    loaded = load(_config(tmp_path, ""))
    assert loaded.secrets.values() == ["json://me:s3cret@hook.example\nnönsense"]
    assert "s3cret" not in repr(loaded) + str(loaded.model_dump())


PLAIN = {
    "turso.url": ("TURSO_AUTH_TOKEN", '[turso]\nurl = "http://db.example"\n'),
    "vercel.api": ("VERCEL_TOKEN", '[vercel]\nproject = "x"\napi = "http://api.example"\n'),
}


@pytest.mark.parametrize("key", PLAIN)
def test_no_token_goes_to_another_machine_unencrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """A token with a plain http address is a mistake, unless the address is this machine's."""
    name, text = PLAIN[key]
    monkeypatch.setenv(name, "secret")
    with pytest.raises(Misconfigured) as plain:
        for_production(load(_config(tmp_path, text)))
    assert f"{key}: http:// would send the token unencrypted to" in str(plain.value)
    with pytest.raises(Misconfigured) as here:
        for_production(
            load(_config(tmp_path, text.replace("db.example", "127.0.0.1:8080").replace("api.example", "[::1]")))
        )
    assert "unencrypted" not in str(here.value)


def test_unusable_proxy_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that cannot be used is reported with the other mistakes, before anything is asked."""
    monkeypatch.setenv("HTTPS_PROXY", "socks5://someone:hidden@proxy.example")
    monkeypatch.delenv("https_proxy", raising=False)
    with pytest.raises(Misconfigured, match="HTTPS_PROXY in the environment: it is a socks5 address") as wrong:
        for_production(load(_config(tmp_path, "")))
    assert "hidden" not in str(wrong.value)


def test_password_of_the_proxy_is_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The redactor masks it in every form."""
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://someone:hid%40den@proxy.example:3128")
    assert {"hid%40den", "hid@den"} <= {*secret_values(load(_config(tmp_path, "")))}


def test_target_includes_the_remote(tmp_path: Path) -> None:
    """The same branch of another remote is another target; a run of an earlier version is known by either."""
    text = '[vercel]\nproject = "x"\n'
    one, other = (load(_config(tmp_path, f'remote = "{name}"\n{text}')) for name in ("origin", "upstream"))
    assert target(one) == "x with , branch origin/main"
    assert target_id(one) != target_id(other)
    assert target_ids(one)[0] == target_id(one)
    earlier = sha256(b"x with , branch main").hexdigest()
    assert target_ids(one)[1] == target_ids(other)[1] == earlier


@pytest.mark.parametrize("message", ["{nobody}", "{run.__class__.x}", "{", " \nbody", "\nbody", "bell \a"])
def test_rollback_message_is_checked_beforehand(message: str) -> None:
    """A message that names something unknown, or has no subject, is refused before any run needs it."""
    with pytest.raises(ValueError, match="rollback_message"):
        settings.Settings(rollback_message=message)
