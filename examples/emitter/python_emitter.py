"""Publish from a synchronous web framework or task queue (Django, Flask, Celery): one Emitter for each process.

    python python_emitter.py [tcp://127.0.0.1:5555]

Connecting is left to the first `emit`, so a module-level Emitter survives preloading and forking: each worker gets
its own connection. A missing broker is an error here after 2 s; it is for the caller to decide what that means.
"""

import sys

import zmqio

emitter = zmqio.Emitter(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555")


def order_shipped(order: int, customer: str) -> bool:
    """What a view or task would call once the database has the change; whether it was sent."""
    try:
        emitter.to(f"customer-{customer}").emit("shipped", {"order": order})
    except zmqio.BusUnavailableError as error:
        print(f"order {order}: nobody was told: {error}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    sent = order_shipped(1, "ada")
    if sent:
        emitter.except_("lobby").emit("news", "Emitter in Python")
        emitter.flush()  # only where one wants to know that the broker has it
    sys.exit(0 if sent else 1)
