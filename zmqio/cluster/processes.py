"""Whether a process of this machine has ended. The only file of the cluster that asks the operating system.

Linux only; on other systems no two processes count as being on one machine, and nothing depends on it.
"""

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

__all__ = ["has_ended", "machine_id"]

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PID_NAMESPACE = Path("/proc/self/ns/pid")
_ID_CHARACTERS = 16


def machine_id() -> str:
    """Return a text that is the same in all processes that see each other's process ids; empty if unknown.

    It depends on this boot of the machine and on the namespace of process ids, which most containers have of their
    own.
    """
    try:
        namespace = PID_NAMESPACE.stat()
        seed = f"{BOOT_ID.read_text()} {namespace.st_dev} {namespace.st_ino}"
    except OSError:
        return ""
    return sha256(seed.encode()).hexdigest()[:_ID_CHARACTERS]


def has_ended(pid: int) -> bool:
    """Return whether no process with this id runs; a zombie counts as ended. When in doubt, False."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    with suppress(OSError, IndexError):
        # The name, in parentheses, may contain anything; the state follows the last one.
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    return False
