"""Acceptors: take new connections and pass each one to a worker."""
