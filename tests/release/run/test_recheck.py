"""A change between the plan and the lock refuses the run: the plan was made for another world."""

from collections.abc import Callable

import pytest

from tests.support.production.base import Event
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio

Deed = Callable[[VirtualProduction], None]


def _foreign_push(production: VirtualProduction) -> None:
    history, head = production.remote.history, production.remote.tip
    production.remote.advance(history.commit(history.commits[head].tree, head, "other"))


def _foreign_deployment(production: VirtualProduction) -> None:
    production.world.platform.deployed("e" * 40, "main", "somebody's")


def _switched_auto_assign(production: VirtualProduction) -> None:
    production.world.platform.auto_assign = not production.world.platform.auto_assign


def _changed_schema(production: VirtualProduction) -> None:
    production.store.connection.execute("CREATE TABLE somebodys (x)")


def _moved_checkout(production: VirtualProduction) -> None:
    history, head = production.remote.history, production.checkout.head
    production.checkout.head = history.commit(history.commits[head].tree, head, "one more")
    production.checkout.known.add(production.checkout.head)


DEEDS = (_foreign_push, _foreign_deployment, _switched_auto_assign, _changed_schema, _moved_checkout)


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__.strip("_"))
async def test_change_after_the_plan_refuses_the_run(production: VirtualProduction, deed: Deed) -> None:
    """Everything that the plan rests on is read again under the lock; a difference refuses and touches nothing."""
    pushes = production.world.platform.pushes

    async def react(event: Event) -> None:
        if event["event"] == "planned":
            deed(production)

    ending = await production.release(react=react)
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    assert not [event for event in ending.events if event["event"] in ("begun", "started")]
    assert production.world.platform.pushes == pushes + (deed is _foreign_push)
    assert await production.sql("SELECT count(*) FROM _orchestrate_lock WHERE expires_at > unixepoch()") == [(0,)]
