"""Acceptors: take connections, and pass each to a worker."""
