"""Which worker a connection belongs to: pure functions of request heads, addresses and known workers."""
