"""CPU of the broker per message, compared with a bare C program around `zmq_proxy` in the same run."""
