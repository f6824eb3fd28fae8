"""The adapter for many nodes: membership, requests and ordered delivery. Knows a bus, but no ZeroMQ."""
