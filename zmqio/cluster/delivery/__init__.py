"""Messages between nodes: once, in order, or reported as lost."""
