"""`zmqio top` and `zmqio status`: what the nodes and brokers of a cluster do, seen from outside."""
