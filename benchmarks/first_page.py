"""The first page of a fresh server: what its first visitor waits for.

    python benchmarks/first_page.py [--starts 3] [--page PAGE]

Starts the app as ``make run`` does, in a new process each time, and opens the page over Streamlit's
own protocol. Printed are the server's CPU seconds when it listens and when the page is complete,
beside the wall clock of the visit: the first time on a fresh store, when nothing on this machine
was ever checked, and again on the same store. CPU time is that of all threads of the server's
process; helper processes that it starts are not in it and are printed apart. An earlier start,
which is not counted, has left the code's bytecode and the files in the page cache, as any but the
very first start after an installation finds them.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from load import Server, Session

BUDGET_SECONDS = 3.0
"""CPU seconds of the server until the first page is complete."""


def cpu_seconds(process: int) -> float:
    """What a process's threads have taken so far."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def helpers(process: int) -> Iterable[int]:
    """The processes that it started and that are there."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[1]) == process:
            yield int(folder.name)


async def visit(server: Server, page: str) -> float:
    """Seconds until a page is complete."""
    async with Session(server.url, page) as session:
        seconds = await session.open()
        assert not session.exceptions, session.exceptions
    return seconds


def start(store: Path, page: str) -> tuple[float, float, float, float]:
    """CPU seconds when the server listens and after the page, helpers', and the visit's length."""
    server = Server(store)
    try:
        listening = cpu_seconds(server.process.pid)
        seconds = asyncio.run(visit(server, page))
        total = cpu_seconds(server.process.pid)
        others = sum(map(cpu_seconds, helpers(server.process.pid)))
        return listening, total, others, seconds
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--page", default="", help="the script's name; default: Overview")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(folder) / "bytecode")
        start(Path(folder) / "runs.db", options.page)
        measure(options)


def measure(options: argparse.Namespace) -> None:
    for name in ("a fresh store", "a store of an earlier start"):
        found = []
        for _ in range(options.starts):
            with tempfile.TemporaryDirectory() as folder:
                store = Path(folder) / "runs.db"
                if name != "a fresh store":
                    start(store, options.page)
                    time.sleep(1.0)
                found.append(start(store, options.page))
        listening, total, others, seconds = (
            sorted(values)[len(values) // 2] for values in zip(*found, strict=True)
        )
        print(
            f"{name}: {listening:.1f} s of CPU until it listens, {total:.1f} s until the first "
            f"page is complete (budget {BUDGET_SECONDS:g} s), {others:.1f} s in helpers; the "
            f"visitor waits {seconds:.1f} s"
        )


if __name__ == "__main__":
    main()
