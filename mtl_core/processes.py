"""Processes that run a module of this package, wherever they are started from."""

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

__all__ = ["start_module"]


def start_module(
    module: str, *arguments: str, output: IO[bytes], detached: bool = False
) -> "subprocess.Popen[bytes]":
    """Start ``python -m module arguments`` with everything that it says in ``output``.

    Args:
        detached: in a session of its own, so that neither Ctrl-C in this process's terminal nor
            this process's end reaches it.
    """
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    flags = 0
    if sys.platform == "win32" and detached:
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=detached,
        creationflags=flags,
    )
