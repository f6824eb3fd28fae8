"""Requests to other nodes, and the responses that are awaited."""
