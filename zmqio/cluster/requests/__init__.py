"""Requests to other nodes: which are pending, and waiting for their responses."""
