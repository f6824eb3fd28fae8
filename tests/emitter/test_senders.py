"""Tests of `zmqio.emitter.senders`: each bus has what the contracts ask for."""

import inspect

import pytest

from zmqio.emitter.senders import AsyncSender, Sender
from zmqio.nats.async_sender import AsyncNatsSender
from zmqio.nats.sender import NatsSender
from zmqio.zeromq.push_sender import AsyncPushSender, PushSender


@pytest.mark.parametrize(
    ("contract", "kind"),
    [
        (Sender, PushSender),
        (Sender, NatsSender),
        (AsyncSender, AsyncPushSender),
        (AsyncSender, AsyncNatsSender),
    ],
)
def test_senders_have_the_methods_of_the_contract(contract: type, kind: type) -> None:
    for name, method in vars(contract).items():
        if inspect.isfunction(method) and not name.startswith("_"):
            own = getattr(kind, name)
            assert inspect.signature(own).parameters.keys() == inspect.signature(method).parameters.keys()
            assert inspect.iscoroutinefunction(own) == inspect.iscoroutinefunction(method)
