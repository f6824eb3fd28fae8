"""`SimpleFactory`: any function that makes an adapter."""

from zmqio.adapter.base import AdapterFactory
from zmqio.adapter.local import LocalAdapter
from zmqio.server.factory import SimpleFactory


def test_it_is_an_adapter_factory_and_names_what_it_makes() -> None:
    factory = SimpleFactory(LocalAdapter)
    assert isinstance(factory, AdapterFactory)
    assert repr(factory) == "LocalAdapter"


def test_a_process_alone_misses_nobody() -> None:
    assert SimpleFactory(LocalAdapter).health().ready
