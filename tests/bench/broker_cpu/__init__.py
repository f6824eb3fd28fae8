"""CPU of the broker per message, against a bare C program around `zmq_proxy` in the same run."""
