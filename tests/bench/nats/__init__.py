"""Benchmarks of the bus over NATS."""
