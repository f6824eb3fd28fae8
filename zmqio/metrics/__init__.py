"""Metrics for Prometheus: their names, and their text form. The counters stay where things happen."""
