"""HTTP settings travel to a worker as JSON."""

import json
from dataclasses import asdict

from zmqio.hosting.options import HttpOptions


def test_settings_round_trip_as_json() -> None:
    options = HttpOptions(trusted_proxies="10.0.0.0/8", ssl_certfile="a.pem", ssl_keyfile="b.pem")
    assert HttpOptions(**json.loads(json.dumps(asdict(options)))) == options
