"""Downloads of public data sets, in a process of their own, with progress to show."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mtl_core.settings import sources

__all__ = ["Download", "progress", "start"]


@dataclass
class _Process:
    handle: "subprocess.Popen[bytes]"
    output: IO[bytes]


@dataclass(frozen=True)
class Download:
    """How far a download is. ``share`` is in [0, 1]; ``error`` is set when it failed."""

    running: bool
    share: float
    error: str | None = None


_processes: dict[str, _Process] = {}


def start(name: str) -> None:
    """Begin to fetch a data set, unless that is going on."""
    if (current := _processes.get(name)) and current.handle.poll() is None:
        return
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    output = tempfile.TemporaryFile()
    handle = subprocess.Popen(
        [sys.executable, "-m", "mtl_core", "download", name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=output,
        env={**os.environ, "PYTHONPATH": path},
    )
    _processes[name] = _Process(handle, output)


def progress(name: str) -> Download | None:
    """The download of a data set that was started here; None if none was."""
    process = _processes.get(name)
    if process is None:
        return None
    share = min(1.0, sources.downloaded_bytes(name) / sources.total_bytes(name))
    code = process.handle.poll()
    if code is None:
        return Download(True, share)
    if code == 0:
        return Download(False, 1.0)
    process.output.seek(0)
    lines = process.output.read().decode(errors="replace").strip().splitlines()
    return Download(False, share, lines[-1] if lines else f"the download ended with code {code}")
