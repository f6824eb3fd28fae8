"""Connection state recovery: the position of each client, the packets sent lately, and disconnected sessions."""
