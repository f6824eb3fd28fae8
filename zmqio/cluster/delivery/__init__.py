"""Delivers messages between nodes: in order, once, and otherwise reported as lost."""
