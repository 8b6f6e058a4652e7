"""The operator's own command that deploys: what it gets, what is read of what it prints, and how it ends."""

import asyncio
from pathlib import Path

import pytest

from steps.support.core.errors import Unknown
from steps.support.gateways.deployer import SHOWN, Deployer

pytestmark = pytest.mark.anyio

SHA = "a" * 40
URL = "echo https://liveone-1.vercel.app"


@pytest.mark.parametrize(
    ("command", "host"),
    [
        (URL, "liveone-1.vercel.app"),
        ("echo Inspect: https://vercel.com/x/y >&2; " + URL, "liveone-1.vercel.app"),
        ("echo https://vercel.com/x; " + URL, "liveone-1.vercel.app"),
        ('test "$VERCEL_TOKEN" = t0ken && ' + URL, "liveone-1.vercel.app"),
        ('echo "https://$COMMIT_SHA.example"', f"{SHA}.example"),
        ('test -z "$TURSO_AUTH_TOKEN$ORCHESTRATE_SITE" && ' + URL, "liveone-1.vercel.app"),
        ('echo "https://$(basename "$PWD").example"', "the app.example".replace(" ", "-")),
    ],
    ids=["plain", "stderr", "several", "token", "commit", "no other secret", "folder"],
)
async def test_host_of_the_last_url_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, host: str
) -> None:
    """The command runs in the checkout, gets the commit and only the platform's token, and prints the URL."""
    monkeypatch.setenv("TURSO_AUTH_TOKEN", "secret")
    monkeypatch.setenv("ORCHESTRATE_SITE", "https://secret.example")
    (folder := tmp_path / "the-app").mkdir()
    assert await Deployer(command, folder, "t0ken").deploy(SHA) == host


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("echo no access >&2; exit 3", "it exited with code 3: no access"),
        ("echo done", "it printed no URL of a deployment: done"),
        ("no-such-program", "it exited with code 127"),
        (f"{URL}; exit 1", "it exited with code 1"),
    ],
)
async def test_failure_is_told(tmp_path: Path, command: str, words: str) -> None:
    """A command that fails, or prints no URL, is named with the end of what it printed."""
    with pytest.raises(Unknown, match=words):
        await Deployer(command, tmp_path, "").deploy(SHA)


async def test_long_output_is_cut(tmp_path: Path) -> None:
    """Of much output only the end is in the message, with control characters escaped."""
    with pytest.raises(Unknown) as caught:
        await Deployer("yes x | head -100000 >&2; printf '\\033[31mlast' >&2; exit 1", tmp_path, "").deploy(SHA)
    assert len(caught.value.cause) < SHOWN + 100
    assert caught.value.cause.endswith("last")
    assert "\033" not in caught.value.cause


async def test_whole_group_ends_with_the_call(tmp_path: Path) -> None:
    """A command that is cut off leaves nothing running, also not what it started in the background."""
    command = f"(sleep 1; touch {tmp_path}/late) & sleep 60"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await Deployer(command, tmp_path, "").deploy(SHA)
    await asyncio.sleep(1.2)
    assert not (tmp_path / "late").exists()


def test_token_is_in_no_text() -> None:
    """The token is not shown when the command is."""
    assert "t0ken" not in repr(Deployer("x", Path(), "t0ken"))
