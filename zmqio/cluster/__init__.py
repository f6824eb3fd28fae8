"""One adapter over many nodes: presence, requests and ordered delivery; knows a bus, no ZeroMQ."""
