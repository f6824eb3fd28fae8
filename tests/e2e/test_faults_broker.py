"""Brokers that are killed, stopped and brought back under load: every client gets every message once, in order."""

from tests.bench.soak.actions import broker_kill, broker_stop, join_churn
from tests.bench.soak.testbed import Setup
from tests.support.faults import QUIET_S, check_no_loss


async def test_restart_of_a_killed_broker_loses_no_message():
    await check_no_loss(broker_kill(0.3))


async def test_killing_one_of_two_brokers_with_keys_twice_loses_no_message():
    await check_no_loss(broker_kill(0.3, times=2, between_s=0.3), Setup(brokers=2, keys=True))


async def test_killing_one_of_two_brokers_three_times_loses_no_message():
    await check_no_loss(broker_kill(0.3, times=3, between_s=0.3), Setup(brokers=2))


async def test_stopped_broker_loses_no_message():
    await check_no_loss(broker_stop(3))


async def test_stopped_broker_with_keys_loses_no_message():
    await check_no_loss(broker_stop(3), Setup(keys=True))


async def test_join_acknowledged_without_a_broker_receives_later_messages():
    await check_no_loss(join_churn(0.3, around_s=0.5, pause_s=0.02), quiet_s=QUIET_S)
