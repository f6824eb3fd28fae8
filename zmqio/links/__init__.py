"""What the links of all buses have in common: the queue that is full, the log of the states, host names."""
