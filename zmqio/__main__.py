"""`python -m zmqio` runs the `zmqio` command."""

from zmqio.cli import main

if __name__ == "__main__":
    main(prog_name="zmqio")
