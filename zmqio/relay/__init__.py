"""Serve requests that reach one node, the *ingress*, for sessions that live on another, their *owner*."""
