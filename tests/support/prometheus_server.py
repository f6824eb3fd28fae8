"""A real Prometheus server on a free port of this machine, for tests of rules and scrapes."""

import asyncio
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.ports import free_port
from tests.support.timing import LIMIT_S, wait_until
from tests.support.tools import require

__all__ = ["PrometheusServer", "check_rules"]


def check_rules(path: Path) -> str:
    """Return what promtool says of a file of rules.

    Raises:
        AssertionError: it refuses the file.
    """
    done = subprocess.run(
        [require("promtool"), "check", "rules", path], capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    return done.stdout


class PrometheusServer:
    """To be used as `async with`; it is ready then.

    Args:
        folder: for its configuration and its data.
        targets: job -> addresses that it scrapes, each host:port.
        rules: a file of rules.
    """

    def __init__(self, folder: Path, targets: dict[str, Sequence[str]], rules: Path) -> None:
        self._folder = folder
        self._url = f"http://127.0.0.1:{free_port()}"
        self._settings = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": list(addresses)}]}
                for job, addresses in targets.items()
            ],
        }

    async def __aenter__(self) -> "PrometheusServer":
        self._start()
        await wait_until(lambda: self._process.poll() is not None or self._is_ready(), "Prometheus")
        if self._process.poll() is not None:
            self._output.seek(0)
            raise AssertionError(f"Prometheus does not start:\n{self._output.read()}")
        return self

    def _start(self) -> None:
        config = self._folder / "prometheus.yml"
        config.write_text(json.dumps(self._settings))  # JSON is YAML
        self._output = (self._folder / "prometheus.log").open("w+")
        self._process = subprocess.Popen(
            [
                require("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address={self._url.removeprefix('http://')}",
            ],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            await asyncio.to_thread(self._process.wait, LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an expression: `metric` with the labels, and `value`."""
        found: list[dict[str, Any]] = (await self._get("query", query=expression))["result"]
        return found

    async def rules(self) -> list[dict[str, Any]]:
        """Return the loaded rules with their `health` and `lastError`."""
        groups = (await self._get("rules"))["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def targets(self) -> dict[str, str]:
        """Return the health of each address: "up", "down" or "unknown"."""
        found = (await self._get("targets"))["activeTargets"]
        return {target["labels"]["instance"]: target["health"] for target in found}

    async def _get(self, name: str, **query: str) -> Any:
        url = f"{self._url}/api/v1/{name}?{urllib.parse.urlencode(query)}"
        answer = await asyncio.to_thread(_fetch, url)
        if answer["status"] != "success":
            raise AssertionError(f"{name} {query}: {answer}")
        return answer["data"]

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=1) as response:
                return bool(response.status == 200)
        except OSError:
            return False


def _fetch(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=LIMIT_S) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        return {"status": error.read().decode()}
