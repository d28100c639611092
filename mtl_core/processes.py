"""Processes of this package: how they start, and how they end with the one that needs them."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

__all__ = ["end_with", "run_module", "start_module"]


def start_module(
    module: str, *arguments: str, output: IO[bytes], detached: bool = False
) -> "subprocess.Popen[bytes]":
    """Start ``python -m module arguments`` with all that it prints in ``output``.

    Args:
        detached: in a session of its own, so that neither Ctrl-C in this process's terminal nor
            this process's end reaches it.
    """
    flags = 0
    if sys.platform == "win32" and detached:
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": _path()},
        start_new_session=detached,
        creationflags=flags,
    )


def run_module(module: str, said: str, *, seconds: float) -> str:
    """What ``python -m module`` answers on standard output to what is said to it.

    Raises:
        subprocess.TimeoutExpired: after so many seconds; it is ended then.
    """
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=said,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": _path(), "OMP_NUM_THREADS": "1"},
        timeout=seconds,
        check=False,
    )
    return done.stdout


def end_with(parent: int) -> None:
    """Have this process end soon after its parent has died, however it died.

    A killed parent cannot end its processes; they would train on beside those of the next.

    Args:
        parent: its process id.
    """

    def watch() -> None:
        while os.name == "nt" or os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _path() -> str:
    """Where another process finds this package."""
    root = str(Path(__file__).resolve().parents[1])
    return os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
