"""The metrics of `zmqio serve`: those of all its processes, served by the parent."""
