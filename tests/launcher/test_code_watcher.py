"""Changes of code are detected, with real files."""

import asyncio
from pathlib import Path

from tests.support.timing import wait_until
from zmqio.launcher.code_watcher import watch_code


async def test_changes_of_python_files_only_are_reported(tmp_path: Path) -> None:
    changes: list[bool] = []
    (tmp_path / "app.py").write_text("x = 0")
    watching = asyncio.ensure_future(watch_code(lambda: changes.append(True), tmp_path))
    try:
        count = 0

        def noticed() -> bool:
            """Change files until a change is reported: nothing shows when the watch has begun."""
            nonlocal count
            count += 1
            (tmp_path / "notes.txt").write_text(str(count))
            if count > 20:
                (tmp_path / "app.py").write_text(f"x = {count}")
            else:
                assert not changes
            return bool(changes)

        await wait_until(noticed, "the change")
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
