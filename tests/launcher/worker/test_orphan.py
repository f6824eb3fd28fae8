"""A process whose parent is gone, with a main thread that notices nothing."""

import signal
import socket
import subprocess
import sys

from tests.support.cluster import ROOT
from tests.support.timing import LIMIT_S

PROGRAM = """
import socket, sys, time
from zmqio.launcher.worker.orphan import kill_without_parent
link = socket.socket(fileno=int(sys.argv[1]))
kill_without_parent(link, 0.1)
link.send(b"x")
link.close()
time.sleep(1_000_000)
"""


def test_blocked_process_is_killed_when_its_parent_closes_the_link_but_not_at_half_a_close() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(LIMIT_S)
    with theirs:
        command = [sys.executable, "-c", PROGRAM, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=ROOT)
    with process, ours:
        try:
            assert ours.recv(1) == b"x"
            ours.shutdown(socket.SHUT_WR)
            try:
                process.wait(1.5)
            except subprocess.TimeoutExpired:
                ours.close()
            assert process.wait(LIMIT_S) == -signal.SIGALRM
        finally:
            process.kill()
