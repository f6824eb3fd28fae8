"""`LoginAttempts`: limits on failed logins, with a clock of the test."""

from zmqio.server.admin.attempts import (
    MAX_ADDRESSES,
    MAX_FAILURES,
    MAX_FAILURES_PER_ADDRESS,
    WINDOW_S,
    LoginAttempts,
)


def test_address_waits_for_the_rest_of_its_window_and_others_do_not() -> None:
    attempts = LoginAttempts()
    for second in range(MAX_FAILURES_PER_ADDRESS):
        assert attempts.wait_s("192.0.2.1", 100 + second) == 0
        attempts.failed("192.0.2.1", 100 + second)
    assert attempts.wait_s("192.0.2.1", 110) == WINDOW_S - 10
    assert attempts.wait_s("192.0.2.2", 110) == 0
    assert attempts.wait_s("192.0.2.1", 100 + WINDOW_S) == 0


def test_addresses_of_an_ipv6_network_count_as_one() -> None:
    attempts = LoginAttempts()
    for number in range(MAX_FAILURES_PER_ADDRESS):
        attempts.failed(f"2001:db8::{number:x}", 0)
    assert attempts.wait_s("2001:db8::ffff", 1) > 0
    assert attempts.wait_s("2001:db8:0:1::1", 1) == 0


def test_all_addresses_together_have_a_limit() -> None:
    attempts = LoginAttempts()
    for number in range(MAX_FAILURES):
        attempts.failed(f"192.0.2.{number}", 0)
    assert attempts.wait_s("198.51.100.1", 1) == WINDOW_S - 1
    assert attempts.wait_s("198.51.100.1", WINDOW_S) == 0


def test_addresses_that_are_remembered_are_bounded() -> None:
    attempts = LoginAttempts()
    for number in range(MAX_ADDRESSES + 50):
        attempts.failed(f"host {number}", number)
    assert len(attempts._by_network) == MAX_ADDRESSES
