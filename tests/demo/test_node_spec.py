"""`DemoNodeSpec`: the settings of one node process."""

from zmqio import __version__
from zmqio.demo.node_spec import DemoNodeSpec

URLS = {"A": "http://127.0.0.1:8000", "B": "http://127.0.0.1:8001"}


def test_settings_survive_the_environment_variable() -> None:
    spec = DemoNodeSpec("A", URLS, "tcp://127.0.0.1:5555", 7, "json", "info", stop_with_stdin=True)
    assert DemoNodeSpec.from_json(spec.to_json()) == spec


def test_page_config_names_the_node_all_nodes_and_the_broker() -> None:
    config = DemoNodeSpec("B", URLS, "tcp://127.0.0.1:5555", 7).page_config()
    assert config == {
        "node": "B",
        "nodes": [{"name": "A", "url": URLS["A"]}, {"name": "B", "url": URLS["B"]}],
        "broker": "tcp://127.0.0.1:5555",
        "program": "zmqio",
        "version": __version__,
    }
