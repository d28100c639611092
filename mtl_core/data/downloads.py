"""Downloads of public data sets, in a process of their own, with progress to show."""

import subprocess
import tempfile
from dataclasses import dataclass
from typing import IO

from mtl_core.data import sources
from mtl_core.processes import start_module

__all__ = ["Download", "progress", "start"]


@dataclass
class _Process:
    handle: "subprocess.Popen[bytes]"
    output: IO[bytes]


@dataclass(frozen=True)
class Download:
    """How far a download is. ``share`` is in [0, 1]; ``error`` is one line, set when it failed."""

    running: bool
    share: float
    error: str | None = None


_processes: dict[str, _Process] = {}


def start(name: str) -> None:
    """Begin to fetch a data set, unless that is going on."""
    before = _processes.get(name)
    if before is not None:
        if before.handle.poll() is None:
            return
        before.output.close()
    output = tempfile.TemporaryFile()  # noqa: SIM115 (the process's, while it runs)
    _processes[name] = _Process(start_module("mtl_core", "download", name, output=output), output)


def progress(name: str) -> Download | None:
    """The download of a data set that was started here; None if none was."""
    process = _processes.get(name)
    if process is None:
        return None
    code = process.handle.poll()
    if code == 0:
        return Download(False, 1.0)
    share = min(1.0, sources.downloaded_bytes(name) / sources.total_bytes(name))
    return Download(code is None, share, _reason(process.output, code) if code else None)


def _reason(output: IO[bytes], code: int) -> str:
    output.seek(0)
    lines = output.read().decode(errors="replace").split("\n")
    said = [line.removeprefix("error: ").strip() for line in lines if line.startswith("error: ")]
    return said[-1] if said else f"the download ended with code {code}; try again"
