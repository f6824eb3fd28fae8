"""Chooses the worker of a connection: pure functions of request heads, addresses and known workers."""
