"""When a process counts as stalled."""

import asyncio

from zmqio.launcher.silence import CHECK_INTERVAL_S, HEARTBEAT_S, STALLED_AFTER_S, Silence, until_next_check

ATTEMPTS = 20


def test_silence_is_long_after_several_missed_heartbeats_and_ends_with_one() -> None:
    silence = Silence()
    for _ in range(int(STALLED_AFTER_S / CHECK_INTERVAL_S)):
        assert not silence.is_long
        silence.count()
    assert silence.is_long
    assert silence.seconds == STALLED_AFTER_S
    silence.end()
    assert not silence.is_long
    assert silence.seconds == 0


def test_late_heartbeats_are_no_stall() -> None:
    assert 3 * max(HEARTBEAT_S, CHECK_INTERVAL_S) <= STALLED_AFTER_S


async def test_all_that_wait_for_the_next_check_are_woken_together() -> None:
    now_s = asyncio.get_running_loop().time
    for _ in range(ATTEMPTS):
        interval = now_s() // CHECK_INTERVAL_S
        waiting = [asyncio.ensure_future(until_next_check())]
        await asyncio.sleep(0.01)
        waiting.append(asyncio.ensure_future(until_next_check()))
        await asyncio.sleep(0)
        if now_s() // CHECK_INTERVAL_S == interval:
            break  # otherwise a check came between the two
        await asyncio.wait(waiting)
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0)
    assert all(task.done() for task in waiting)
