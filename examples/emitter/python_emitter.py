"""Publish from a synchronous web framework or task queue (Django, Flask, Celery): one Emitter per process.

    python python_emitter.py [tcp://127.0.0.1:5555]

An Emitter connects at its first `emit`. A module-level Emitter therefore survives preloading and forking: each
worker has its own connection. A missing broker raises an error after 2 s.
"""

import sys

import zmqio

emitter = zmqio.Emitter(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555")


def order_shipped(order: int, customer: str) -> bool:
    """Send an event from a view or task after the database commit. Return whether it was sent."""
    try:
        emitter.to(f"customer-{customer}").emit("shipped", {"order": order})
    except zmqio.BusUnavailableError as error:
        print(f"order {order}: event not sent: {error}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    sent = order_shipped(1, "ada")
    if sent:
        emitter.except_("lobby").emit("news", "Emitter in Python")
        emitter.flush()  # optional: returns once the broker has received the events
    sys.exit(0 if sent else 1)
