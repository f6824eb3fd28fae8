from pathlib import Path

import pytest
from zmqio_broker.options import BrokerOptions


@pytest.mark.parametrize("name", ["node_queue_messages", "ingest_queue_messages", "max_message_bytes"])
def test_limit_of_zero_is_rejected_because_zeromq_treats_it_as_unlimited(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        BrokerOptions(**{name: 0})


def test_negative_interval_is_rejected() -> None:
    with pytest.raises(ValueError, match="stats_interval_s"):
        BrokerOptions(stats_interval_s=-1)


def test_subscriptions_may_be_larger_with_keys_because_they_are_encrypted() -> None:
    keys = Path("broker.key_secret"), Path("nodes")
    assert BrokerOptions(subscription_bytes=1_000).sent_subscription_bytes == 1_000
    encrypted = BrokerOptions(subscription_bytes=1_000, curve_secret=keys[0], node_keys=keys[1])
    assert encrypted.sent_subscription_bytes == 2_250
