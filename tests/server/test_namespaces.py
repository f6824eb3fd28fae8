"""`Namespaces`: lookup, and the limits that keep clients from filling the memory."""

import gc
import re
import weakref
from typing import Any

import pytest

from tests.support.namespaces_harness import NamespacesHarness
from zmqio.server.namespace import Namespace
from zmqio.server.namespaces import MAX_DYNAMIC_NAME
from zmqio.server.parent import ParentNamespace

ANY = re.compile("^/")


def room_harness(**options: Any) -> tuple[NamespacesHarness, ParentNamespace]:
    harness = NamespacesHarness(**options)
    return harness, harness.table.parent(ANY)


async def test_empty_child_is_kept_by_default() -> None:
    harness, parent = room_harness()
    client, _ = await harness.enter("/a")
    child = parent.children["/a"]
    await harness.leave(client)
    await harness.enter("/a")
    assert parent.children["/a"] is child
    assert (harness.opened, harness.closed) == (["/a"], [])


async def test_cleanup_closes_an_empty_child_and_the_next_client_reopens_it() -> None:
    harness, parent = room_harness(cleanup_empty_child_namespaces=True)
    (one, _), (two, _) = await harness.enter("/a"), await harness.enter("/a")
    await harness.leave(one)
    assert list(parent.children) == ["/a"]
    await harness.leave(two)
    assert (list(parent.children), harness.closed) == ([], ["/a"])
    _, session = await harness.enter("/a")
    assert str(session.sent[0]).startswith('0/a,{"sid"')
    assert harness.opened == ["/a", "/a"]


async def test_cleanup_closes_a_child_that_refused_its_only_client() -> None:
    harness, parent = room_harness(cleanup_empty_child_namespaces=True)
    parent.use(lambda socket: 1 / 0)
    await harness.enter("/a")
    assert (list(parent.children), harness.closed) == ([], ["/a"])


async def test_number_of_empty_children_is_limited() -> None:
    harness, parent = room_harness(max_empty_child_namespaces=3)
    stay, _ = await harness.enter("/stay")
    made = []
    for number in range(20):
        client, _ = await harness.enter(f"/n{number}")
        made.append(weakref.ref(parent.children[f"/n{number}"]))
        await harness.leave(client)
    assert list(parent.children) == ["/stay", "/n17", "/n18", "/n19"]
    assert harness.closed == [f"/n{number}" for number in range(17)]
    stay.message('2/stay,["x"]')
    await harness.settle()
    gc.collect()
    assert [child.name for reference in made if (child := reference()) is not None] == ["/n17", "/n18", "/n19"]


async def test_child_with_its_own_handler_is_never_closed() -> None:
    harness, parent = room_harness(cleanup_empty_child_namespaces=True, max_empty_child_namespaces=1)
    harness.table.get_or_create("/mine").on("x", lambda socket: None)
    for name in ("/mine", "/a", "/b"):
        client, _ = await harness.enter(name)
        await harness.leave(client)
    assert list(parent.children) == ["/mine"]


async def test_closed_child_that_is_still_referenced_is_reused() -> None:
    harness, parent = room_harness(cleanup_empty_child_namespaces=True)
    client, _ = await harness.enter("/a")
    held = harness.table.get_or_create("/a")
    await harness.leave(client)
    assert parent.children == {}
    await held.emit("x")
    assert parent.children == {"/a": held}
    _, session = await harness.enter("/a")
    await held.emit("y")
    assert session.sent[1:] == ['2/a,["y"]']


async def found_by(harness: NamespacesHarness, name: str) -> Namespace | None:
    found = harness.table.find(name, None)
    assert not isinstance(found, Namespace)  # a rule decides
    return await found


@pytest.mark.parametrize("name", ["/" + "a" * MAX_DYNAMIC_NAME, "/a\nb", "/a\x00", "/\ud800"])
async def test_name_that_is_too_long_or_not_printable_is_invalid(name: str) -> None:
    harness, _ = room_harness()
    assert await found_by(harness, name) is None
    assert await found_by(harness, "/" + "a" * (MAX_DYNAMIC_NAME - 1)) is not None


async def test_existing_namespace_takes_precedence_over_rules() -> None:
    harness = NamespacesHarness()
    fixed = harness.table.get_or_create("/fixed")
    harness.table.parent(lambda name, auth: False)
    assert harness.table.find("/fixed", None) is fixed
    assert await found_by(harness, "/other") is None


async def test_invalid_rule_is_refused() -> None:
    for rule in (7, re.compile(b"x")):
        with pytest.raises(TypeError, match="not a string"):
            NamespacesHarness().table.parent(rule)  # type: ignore[arg-type]
