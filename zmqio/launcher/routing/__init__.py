"""Which worker a connection goes to; pure."""
