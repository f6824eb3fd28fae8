"""`explain_unknown_option`: the intended option, and its place."""

import pytest

from zmqio.option_names import explain_unknown_option


@pytest.mark.parametrize(
    ("owner", "name", "text"),
    [
        ("Server", "ping_interval", "Server has no option 'ping_interval'; did you mean 'ping_interval_s'?"),
        ("Server", "max_http_buffer_size", "did you mean 'max_payload_bytes'?"),
        ("Server", "pingTimeout", "did you mean 'ping_timeout_s'?"),
        ("Server", "max_pending_event", "did you mean 'max_pending_events'?"),
        ("Server", "heartbeat_s", "it is an option of ZmqAdapter: ZmqAdapter(address, heartbeat_s=...)"),
        ("Server", "heartbeat", "'heartbeat_s' is an option of ZmqAdapter: ZmqAdapter(address, heartbeat_s=...)"),
        ("ZmqAdapter", "ping_interval_s", "it is an option of Server: Server(ping_interval_s=...)"),
        ("Server", "client_manager", "use adapter, for instance a broker address"),
        ("ZmqAdapter", "qwertz", "ZmqAdapter has no option 'qwertz'; its options are barrier_timeout_s, "),
    ],
)
def test_error_suggests_the_option_and_its_place(owner: str, name: str, text: str) -> None:
    assert text in explain_unknown_option(owner, name)
