"""Measure CPU and delay per message of the broker process next to C programs, alternating in one run.

Run it with `python -m tests.bench.broker_cpu`; it requires gcc and the headers of libzmq. The measure is the user
and system time of all threads of the broker process, divided by the published messages: 64 bytes each, at a fixed
rate; and the time from the sender's call to the receiver's. The last one, `relay.c`, is a prototype of another
hub; see docs/decisions/11-hub.md.
"""

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import zmq

from tests.support.broker import BrokerProcess
from tests.support.ports import free_port_block

HERE = Path(__file__).parent
MESSAGE_BYTES = 64
# (subscribers, messages per second, at most times the C proxy on the same libzmq): two with 200,000 deliveries per
# second, well below the rate that fills queues, and one with one message each millisecond.
LOADS = ((1, 200_000, 1.2), (8, 25_000, 1.1), (1, 1_000, None))
ZMQIO_BROKER = "zmqio broker"


@dataclass(frozen=True, slots=True)
class Sample:
    """The measurements of one run.

    Attributes:
        cpu_us: microseconds of CPU of the hub per message.
        p50_us, p99_us: time from the sender's call to the receiver's.
        lost: missing deliveries.
    """

    cpu_us: float
    p50_us: float
    p99_us: float
    lost: int


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy: its process id and its two addresses."""

    pid: int
    publish: str
    subscribe: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kinds = build(Path(folder))
        print_heading(kinds, options)
        for subscribers, rate, target in LOADS:
            samples = measure_load(kinds, Path(folder) / "load", subscribers, rate, options)
            print_table(subscribers, rate, samples, target)


def build(folder: Path) -> dict[str, Path | None]:
    """Compile the load and the bare proxies. Return their binaries by name; None is the zmqio broker."""
    compile_c("load", folder / "load", ["-lzmq"])
    compile_c("bare_proxy", folder / "bare_system", ["-lzmq"])
    kinds: dict[str, Path | None] = {}
    bundled = bundled_library()
    if bundled is not None:
        compile_c("bare_proxy", folder / "bare_bundled", [str(bundled), f"-Wl,-rpath,{bundled.parent}"])
        kinds["C proxy, libzmq of pyzmq"] = folder / "bare_bundled"
    kinds[ZMQIO_BROKER] = None
    kinds["C proxy, libzmq of the system"] = folder / "bare_system"
    compile_c("relay", folder / "relay", [])
    kinds["prototype, one thread"] = folder / "relay"
    return kinds


def compile_c(source: str, target: Path, libraries: list[str]) -> None:
    subprocess.run(["gcc", "-O2", "-pthread", "-o", target, HERE / f"{source}.c", *libraries], check=True)


def bundled_library() -> Path | None:
    """Return the libzmq inside the pyzmq wheel. The broker uses it, so it gives the fair floor."""
    folder = Path(zmq.__file__).parents[1] / "pyzmq.libs"
    return next(iter(sorted(folder.glob("libzmq*.so*"))), None)


def measure_load(
    kinds: dict[str, Path | None], load: Path, subscribers: int, rate: int, options: argparse.Namespace
) -> dict[str, list[Sample]]:
    samples: dict[str, list[Sample]] = {name: [] for name in kinds}
    for turn in range(options.rounds):
        # Every other round runs in reverse order, so that temporary load of other processes favours none.
        for name, binary in list(kinds.items())[:: 1 if turn % 2 else -1]:
            with running(binary) as proxy:
                samples[name].append(measure_once(proxy, load, subscribers, rate, options.seconds))
    return samples


def measure_once(proxy: Proxy, load: Path, subscribers: int, rate: int, seconds: float) -> Sample:
    command = [load, proxy.publish, proxy.subscribe, str(subscribers), str(rate), str(seconds), str(MESSAGE_BYTES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == "ready\n"
        before = cpu_ns(proxy.pid)
        process.stdin.write("go\n")
        process.stdin.flush()
        sent, received, p50, p99 = (float(word) for word in process.stdout.readline().split())
        used = cpu_ns(proxy.pid) - before
    return Sample(used / sent / 1000, p50, p99, int(sent * subscribers - received))


def cpu_ns(pid: int) -> int:
    """Return the CPU time of all threads. schedstat counts nanoseconds; stat has ticks of 10 ms only."""
    tasks = Path(f"/proc/{pid}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir())


@contextmanager
def running(binary: Path | None) -> Iterator[Proxy]:
    """Start the bare proxy in `binary`, or the zmqio broker if it is None."""
    if binary is None:
        with BrokerProcess() as broker:
            yield Proxy(broker.pid, broker.endpoint("publish"), broker.endpoint("subscribe"))
        return
    first = free_port_block(2)
    addresses = [f"tcp://127.0.0.1:{first}", f"tcp://127.0.0.1:{first + 1}"]
    with subprocess.Popen([binary, *addresses], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            assert process.stdout.readline().strip()
            yield Proxy(process.pid, *addresses)
        finally:
            process.kill()


def version_of(binary: Path | None) -> str:
    if binary is None:
        return f"{zmq.zmq_version()} (pyzmq {zmq.__version__})"
    first = free_port_block(2)
    addresses = [f"tcp://127.0.0.1:{first}", f"tcp://127.0.0.1:{first + 1}"]
    with subprocess.Popen([binary, *addresses], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        version = process.stdout.readline().strip()
        process.kill()
    return version


def print_heading(kinds: dict[str, Path | None], options: argparse.Namespace) -> None:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "?")
    print(
        f"machine   {platform.machine()}, {model}, Linux {platform.release()}, Python {platform.python_version()}"
    )
    print(f"command   python -m tests.bench.broker_cpu --rounds {options.rounds} --seconds {options.seconds}")
    for name, binary in kinds.items():
        print(f"libzmq    {version_of(binary)}: {name}")


def print_table(subscribers: int, rate: int, samples: dict[str, list[Sample]], target: float | None) -> None:
    print(f"\n{subscribers} subscriber(s), {rate} messages/s of {MESSAGE_BYTES} bytes; medians, CPU per message")
    print(f"{'':32}{'CPU us':>8}{'min':>8}{'max':>8}{'broker is':>11}{'p50 us':>8}{'p99 us':>8}{'lost':>6}")
    broker = statistics.median(each.cpu_us for each in samples[ZMQIO_BROKER])
    for name, values in samples.items():
        costs = [each.cpu_us for each in values]
        middle = statistics.median(costs)
        ratio = "" if name == ZMQIO_BROKER else f"{broker / middle:.2f}x"
        p50, p99 = (
            statistics.median(column) for column in zip(*((v.p50_us, v.p99_us) for v in values), strict=True)
        )
        costs_text = f"{middle:8.3f}{min(costs):8.3f}{max(costs):8.3f}{ratio:>11}"
        print(f"{name:32}{costs_text}{p50:8.0f}{p99:8.0f}{sum(each.lost for each in values):6d}")
    if target is not None:
        print(f"target: at most {target}x of the C proxy on the same libzmq")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
