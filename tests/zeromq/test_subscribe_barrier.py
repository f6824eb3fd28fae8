"""Tests of `zmqio.zeromq.subscribe_barrier`."""

import asyncio

from zmqio.zeromq.subscribe_barrier import SubscribeBarrier, SyncQueue, make_sync_topic, parse_acknowledgement


def waiter_of(barrier: SubscribeBarrier) -> asyncio.Future[None]:
    future = asyncio.get_running_loop().create_future()
    barrier.add_waiter(future)
    return future


def test_sync_topics_are_unique_have_22_bytes_and_sort_after_every_topic():
    topics = [make_sync_topic() for _ in range(2000)]
    assert len(set(topics)) == 2000
    assert {len(topic) for topic in topics} == {22}
    assert all(topic > "\U0010ffff/n/x".encode() for topic in topics)


def test_acknowledgement_consists_of_topic_and_epoch():
    topic = make_sync_topic()
    assert parse_acknowledgement(topic + b"12345678") == (topic, b"12345678")


def test_frame_of_another_length_or_prefix_is_not_an_acknowledgement():
    topic = make_sync_topic()
    for frame in (topic, topic + b"1234567", topic + b"123456789", b"\xffother" + bytes(23), b""):
        assert parse_acknowledgement(frame) is None


async def test_barrier_without_links_is_done_at_once():
    assert waiter_of(SubscribeBarrier([])).done()


async def test_barrier_waits_for_every_link():
    barrier = SubscribeBarrier([0, 1])
    waiter = waiter_of(barrier)
    barrier.acknowledged(0)
    assert not waiter.done()
    barrier.acknowledged(1)
    assert waiter.done()


async def test_barrier_does_not_wait_for_a_lost_link():
    barrier = SubscribeBarrier([0, 1])
    waiter = waiter_of(barrier)
    barrier.lost(1)
    assert not waiter.done()
    barrier.acknowledged(0)
    assert waiter.done()


async def test_barrier_is_done_when_all_links_are_lost():
    barrier = SubscribeBarrier([0])
    waiter = waiter_of(barrier)
    barrier.lost(0)
    assert waiter.done()


async def test_after_the_time_out_one_earlier_acknowledgement_is_enough():
    barrier = SubscribeBarrier([0, 1])
    waiter = waiter_of(barrier)
    barrier.acknowledged(1)
    barrier.time_out()
    assert waiter.done()


async def test_after_a_time_out_without_acknowledgements_the_first_releases_the_waiters():
    barrier = SubscribeBarrier([0, 1])
    waiter = waiter_of(barrier)
    barrier.time_out()
    assert not waiter.done()
    barrier.acknowledged(0)
    assert waiter.done()


async def test_cancelled_waiter_does_not_affect_the_others():
    barrier = SubscribeBarrier([0])
    one, two = waiter_of(barrier), waiter_of(barrier)
    one.cancel()
    barrier.acknowledged(0)
    assert two.done() and not two.cancelled()


async def test_acknowledgement_of_a_link_that_is_not_awaited_does_not_count():
    barrier = SubscribeBarrier([0])
    waiter = waiter_of(barrier)
    barrier.acknowledged(1)
    assert not waiter.done()


def test_one_request_is_outstanding_and_the_next_covers_barriers_added_since():
    queue = SyncQueue(0)
    first, second, third = SubscribeBarrier([0]), SubscribeBarrier([0]), SubscribeBarrier([0])
    queue.add(first)
    assert queue.is_due
    queue.requested(b"a")
    queue.add(second)
    queue.add(third)
    assert not queue.is_due
    assert queue.acknowledged(b"a")
    assert (first.is_done, second.is_done, third.is_done) == (True, False, False)
    assert queue.is_due
    queue.requested(b"b")
    assert queue.acknowledged(b"b")
    assert second.is_done and third.is_done
    assert not queue.is_due


def test_repeated_request_covers_the_barriers_of_the_first():
    queue = SyncQueue(0)
    barrier = SubscribeBarrier([0])
    queue.add(barrier)
    queue.requested(b"a")
    queue.requested(b"b")
    assert not queue.acknowledged(b"a")
    assert not barrier.is_done
    assert queue.acknowledged(b"b")
    assert barrier.is_done


def test_lost_link_releases_requested_and_waiting_barriers():
    queue = SyncQueue(0)
    requested, waiting = SubscribeBarrier([0]), SubscribeBarrier([0])
    queue.add(requested)
    queue.requested(b"a")
    queue.add(waiting)
    queue.lost()
    assert requested.is_done and waiting.is_done
    assert queue.topic is None
    assert not queue.acknowledged(b"a")
