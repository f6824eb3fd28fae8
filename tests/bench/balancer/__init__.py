"""Benchmark of balancers: `zmqio serve` and nginx."""
