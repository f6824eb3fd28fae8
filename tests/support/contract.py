"""Compares an implementation with its contract."""

import inspect

__all__ = ["assert_same_signatures"]


def assert_same_signatures(contract: type, implementation: type) -> None:
    """Fail unless `implementation` has the public methods of `contract`, with the same parameters."""
    methods = {
        name: value for name, value in vars(contract).items() if inspect.isfunction(value) and name[0] != "_"
    }
    for name, method in methods.items():
        theirs = inspect.signature(getattr(implementation, name)).parameters
        ours = inspect.signature(method).parameters
        assert [(p.name, p.kind) for p in ours.values()] == [(p.name, p.kind) for p in theirs.values()], name
