"""Tests of `zmqio.zeromq.subscribe_barrier`."""

import asyncio

from zmqio.zeromq.subscribe_barrier import SubscribeBarrier, SyncQueue, make_sync_topic, parse_acknowledgement


def waiting(barrier: SubscribeBarrier) -> asyncio.Future[None]:
    future = asyncio.get_running_loop().create_future()
    barrier.wait_with(future)
    return future


def test_sync_topics_sort_behind_every_topic_have_one_length_and_never_repeat():
    topics = [make_sync_topic() for _ in range(2000)]
    assert len(set(topics)) == 2000
    assert {len(topic) for topic in topics} == {22}
    assert all(topic > "\U0010ffff/n/x".encode() for topic in topics)


def test_acknowledgement_is_topic_and_epoch():
    topic = make_sync_topic()
    assert parse_acknowledgement(topic + b"12345678") == (topic, b"12345678")


def test_anything_of_another_length_or_beginning_is_no_acknowledgement():
    topic = make_sync_topic()
    for frame in (topic, topic + b"1234567", topic + b"123456789", b"\xffother" + bytes(23), b""):
        assert parse_acknowledgement(frame) is None


async def test_barrier_without_links_is_done_at_once():
    assert waiting(SubscribeBarrier([])).done()


async def test_barrier_waits_for_every_link():
    barrier = SubscribeBarrier([0, 1])
    waiter = waiting(barrier)
    barrier.acknowledged(0)
    assert not waiter.done()
    barrier.acknowledged(1)
    assert waiter.done()


async def test_lost_link_is_not_waited_for():
    barrier = SubscribeBarrier([0, 1])
    waiter = waiting(barrier)
    barrier.lost(1)
    assert not waiter.done()
    barrier.acknowledged(0)
    assert waiter.done()


async def test_barrier_is_done_when_all_links_are_lost():
    barrier = SubscribeBarrier([0])
    waiter = waiting(barrier)
    barrier.lost(0)
    assert waiter.done()


async def test_when_time_is_up_one_acknowledgement_is_enough():
    barrier = SubscribeBarrier([0, 1])
    waiter = waiting(barrier)
    barrier.acknowledged(1)
    barrier.time_is_up()
    assert waiter.done()


async def test_when_time_is_up_without_an_acknowledgement_the_first_one_ends_the_wait():
    barrier = SubscribeBarrier([0, 1])
    waiter = waiting(barrier)
    barrier.time_is_up()
    assert not waiter.done()
    barrier.acknowledged(0)
    assert waiter.done()


async def test_cancelled_waiter_does_not_disturb_the_others():
    barrier = SubscribeBarrier([0])
    one, two = waiting(barrier), waiting(barrier)
    one.cancel()
    barrier.acknowledged(0)
    assert two.done() and not two.cancelled()


async def test_link_that_was_not_connected_has_no_say():
    barrier = SubscribeBarrier([0])
    waiter = waiting(barrier)
    barrier.acknowledged(1)
    assert not waiter.done()


def test_queue_asks_once_and_the_next_question_covers_what_came_meanwhile():
    queue = SyncQueue(0)
    first, second, third = SubscribeBarrier([0]), SubscribeBarrier([0]), SubscribeBarrier([0])
    queue.add(first)
    assert queue.wants_to_ask
    queue.asked(b"a")
    queue.add(second)
    queue.add(third)
    assert not queue.wants_to_ask
    assert queue.acknowledged(b"a")
    assert (first.is_done, second.is_done, third.is_done) == (True, False, False)
    assert queue.wants_to_ask
    queue.asked(b"b")
    assert queue.acknowledged(b"b")
    assert second.is_done and third.is_done
    assert not queue.wants_to_ask


def test_question_asked_again_still_covers_the_first_one():
    queue = SyncQueue(0)
    barrier = SubscribeBarrier([0])
    queue.add(barrier)
    queue.asked(b"a")
    queue.asked(b"b")
    assert not queue.acknowledged(b"a")
    assert not barrier.is_done
    assert queue.acknowledged(b"b")
    assert barrier.is_done


def test_lost_link_releases_what_was_asked_and_what_waits():
    queue = SyncQueue(0)
    asked, waits = SubscribeBarrier([0]), SubscribeBarrier([0])
    queue.add(asked)
    queue.asked(b"a")
    queue.add(waits)
    queue.lost()
    assert asked.is_done and waits.is_done
    assert queue.topic is None
    assert not queue.acknowledged(b"a")
