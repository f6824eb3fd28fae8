"""`Namespaces`: lookup, and the limits that keep clients from filling the memory."""

import gc
import re
import weakref
from typing import Any

import pytest

from tests.support.dynamic_stand import DynamicStand
from zmqio.server.namespaces import MAX_DYNAMIC_NAME
from zmqio.server.parent import ParentNamespace

ANY = re.compile("^/")


def room_stand(**options: Any) -> tuple[DynamicStand, ParentNamespace]:
    stand = DynamicStand(**options)
    return stand, stand.table.parent(ANY)


async def test_empty_child_is_kept_by_default() -> None:
    stand, parent = room_stand()
    client, _ = await stand.enter("/a")
    child = parent.children["/a"]
    await stand.leave(client)
    await stand.enter("/a")
    assert parent.children["/a"] is child
    assert (stand.opened, stand.closed) == (["/a"], [])


async def test_cleanup_closes_an_empty_child_and_the_next_client_reopens_it() -> None:
    stand, parent = room_stand(cleanup_empty_child_namespaces=True)
    (one, _), (two, _) = await stand.enter("/a"), await stand.enter("/a")
    await stand.leave(one)
    assert list(parent.children) == ["/a"]
    await stand.leave(two)
    assert (list(parent.children), stand.closed) == ([], ["/a"])
    _, session = await stand.enter("/a")
    assert str(session.sent[0]).startswith('0/a,{"sid"')
    assert stand.opened == ["/a", "/a"]


async def test_cleanup_closes_a_child_that_refused_its_only_client() -> None:
    stand, parent = room_stand(cleanup_empty_child_namespaces=True)
    parent.use(lambda socket: 1 / 0)
    await stand.enter("/a")
    assert (list(parent.children), stand.closed) == ([], ["/a"])


async def test_number_of_empty_children_is_limited() -> None:
    stand, parent = room_stand(max_empty_child_namespaces=3)
    stay, _ = await stand.enter("/stay")
    made = []
    for number in range(20):
        client, _ = await stand.enter(f"/n{number}")
        made.append(weakref.ref(parent.children[f"/n{number}"]))
        await stand.leave(client)
    assert list(parent.children) == ["/stay", "/n17", "/n18", "/n19"]
    assert stand.closed == [f"/n{number}" for number in range(17)]
    stay.message('2/stay,["x"]')
    await stand.settle()
    gc.collect()
    assert [child.name for reference in made if (child := reference()) is not None] == ["/n17", "/n18", "/n19"]


async def test_child_with_its_own_handler_is_never_closed() -> None:
    stand, parent = room_stand(cleanup_empty_child_namespaces=True, max_empty_child_namespaces=1)
    stand.table.get_or_create("/mine").on("x", lambda socket: None)
    for name in ("/mine", "/a", "/b"):
        client, _ = await stand.enter(name)
        await stand.leave(client)
    assert list(parent.children) == ["/mine"]


async def test_closed_child_that_is_still_referenced_is_reused() -> None:
    stand, parent = room_stand(cleanup_empty_child_namespaces=True)
    client, _ = await stand.enter("/a")
    held = stand.table.get_or_create("/a")
    await stand.leave(client)
    assert parent.children == {}
    await held.emit("x")
    assert parent.children == {"/a": held}
    _, session = await stand.enter("/a")
    await held.emit("y")
    assert session.sent[1:] == ['2/a,["y"]']


@pytest.mark.parametrize("name", ["/" + "a" * MAX_DYNAMIC_NAME, "/a\nb", "/a\x00", "/\ud800"])
async def test_name_that_is_too_long_or_not_printable_is_invalid(name: str) -> None:
    stand, _ = room_stand()
    assert await stand.table.find(name, None) is None
    assert await stand.table.find("/" + "a" * (MAX_DYNAMIC_NAME - 1), None) is not None


async def test_existing_namespace_takes_precedence_over_rules() -> None:
    stand = DynamicStand()
    fixed = stand.table.get_or_create("/fixed")
    stand.table.parent(lambda name, auth: False)
    assert await stand.table.find("/fixed", None) is fixed
    assert await stand.table.find("/other", None) is None


async def test_invalid_rule_is_refused() -> None:
    for rule in (7, re.compile(b"x")):
        with pytest.raises(TypeError, match="not a string"):
            DynamicStand().table.parent(rule)  # type: ignore[arg-type]
