"""Requests to other nodes: the pending ones, and the wait for their responses."""
