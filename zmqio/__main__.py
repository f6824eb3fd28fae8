"""`python -m zmqio` is the command `zmqio`."""

from zmqio.cli import main

if __name__ == "__main__":
    main(prog_name="zmqio")
