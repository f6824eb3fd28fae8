"""Tests of `zmqio.compat.not_offered`: each name of python-socketio is offered or explained."""

import re
from pathlib import Path

import pytest
import socketio

from zmqio import compat
from zmqio.compat.not_offered import MODULE_NAMES, PAGE, SERVER_NAMES

PAGE_OF_THE_GUIDE = Path(__file__).parents[2] / PAGE.partition(",")[0]


def test_each_name_of_python_socketio_is_offered_or_explained() -> None:
    offered = {name for name in socketio.__all__ if name in compat.__all__}
    assert offered == {"ASGIApp", "AsyncNamespace", "AsyncServer"}
    assert set(socketio.__all__) - offered - set(MODULE_NAMES) == set()
    for name in MODULE_NAMES:
        with pytest.raises(ImportError, match=re.escape(PAGE)):
            getattr(compat, name)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        compat.nonsense  # noqa: B018


def test_each_method_and_attribute_of_the_server_is_offered_or_explained() -> None:
    theirs = socketio.AsyncServer(async_mode="asgi")
    names = {name for name in {*dir(theirs), *vars(theirs)} if not name.startswith("_")}
    undocumented = {"always_connect", "async_handlers", "is_asyncio_based", "manager_initialized", "namespaces"}
    for name in sorted(names - undocumented - {"not_handled", "reserved_events"}):
        if name in SERVER_NAMES:
            with pytest.raises(AttributeError, match=re.escape(PAGE)):
                getattr(compat.AsyncServer(), name)
        else:
            assert hasattr(compat.AsyncServer(), name), name


def test_each_method_of_a_namespace_object_is_offered() -> None:
    names = {name for name in dir(socketio.AsyncNamespace()) if not name.startswith("_")}
    assert (
        names - {"is_asyncio_based"} - set(dir(compat.AsyncNamespace)) - set(vars(compat.AsyncNamespace()))
        == set()
    )


def test_the_page_of_the_guide_has_the_part_that_errors_refer_to() -> None:
    title = PAGE.partition(",")[2].strip(' "')
    assert f"## {title}" in PAGE_OF_THE_GUIDE.read_text().replace("`", "")
