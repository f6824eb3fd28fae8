"""Requests that reached another node than the one that owns their session."""
