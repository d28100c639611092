"""Thirty visitors on one server, with runs going on: how long each waits.

    python benchmarks/load.py [--sessions 30] [--seconds 60] [--pages 300]

A real server and worker; visitors are websocket clients that speak Streamlit's own protocol: they
open What if, look at it every two seconds under another view, and answer the server's timers as a
browser does. Printed are the first page of all visitors at once, interactions while two questions
are trained, the same where all watch one of these, and the server's memory after so many page
loads. Times are those of this machine, whose cores train meanwhile; the budgets are those of two
cores.
"""

import argparse
import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from mtl_core import RunConfig
from mtl_core.runs import Store

ROOT = Path(__file__).resolve().parents[1]
PAUSE_SECONDS = 2.0
"""Between two looks of a visitor."""
BUDGETS = {30: (0.8, 3.0), 10: (0.4, 1.2)}
"""Seconds of an interaction at the median and at 95 %, by the number of visitors."""
FIRST_SECONDS, MEMORY_MB = 5.0, 800


class Session:
    """A visitor: one tab on one page."""

    def __init__(self, url: str, page: str, query: str = "") -> None:
        self._url, self._page, self._query = url, page, query
        self._hash = ""
        self._finished: asyncio.Queue[float] = asyncio.Queue()
        self._timers: dict[str, asyncio.Task[None]] = {}
        self.widgets: dict[str, Any] = {}
        self.exceptions: list[str] = []

    async def __aenter__(self) -> "Session":
        self._socket = await websockets.connect(
            self._url, subprotocols=[websockets.Subprotocol("streamlit")], max_size=None
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in [self._reader, *self._timers.values()]:
            task.cancel()
        await self._socket.close()

    async def open(self) -> float:
        """Open the page; seconds until it stands."""
        return await self._run({})

    async def look(self, view: str) -> float:
        """Choose a view by its title; seconds until the page has answered."""
        return await self._run({self.widgets["Look at"]: view})

    async def _run(self, chosen: dict[str, str]) -> float:
        while not self._finished.empty():
            self._finished.get_nowait()
        started = time.perf_counter()
        await self._send(chosen)
        return await asyncio.wait_for(self._finished.get(), 300) - started

    async def _send(self, chosen: dict[str, str], fragment: str = "") -> None:
        if not fragment:
            self._forget_timers()
        message = BackMsg()
        asked = message.rerun_script
        asked.query_string, asked.page_name = self._query, self._page
        asked.page_script_hash = self._hash
        asked.fragment_id, asked.is_auto_rerun = fragment, bool(fragment)
        for widget, value in chosen.items():
            state = asked.widget_states.widgets.add()
            state.id = widget
            state.string_array_value.data.append(value)
        await self._socket.send(message.SerializeToString())

    async def _read(self) -> None:
        async for data in self._socket:
            message = ForwardMsg()
            message.ParseFromString(data)
            kind = message.WhichOneof("type")
            if kind == "navigation":
                self._hash = message.navigation.page_script_hash
            elif kind == "page_info_changed":
                self._query = message.page_info_changed.query_string
            elif kind == "delta":
                self._note(message.delta.new_element)
            elif kind == "auto_rerun":
                self._time(message.auto_rerun.fragment_id, message.auto_rerun.interval)
            elif kind == "script_finished" and message.script_finished == 0:
                self._finished.put_nowait(time.perf_counter())

    def _note(self, element: Any) -> None:
        kind = element.WhichOneof("type")
        if kind == "button_group":
            self.widgets[element.button_group.label] = element.button_group.id
        elif kind == "exception":
            self.exceptions.append(element.exception.message)

    def _time(self, fragment: str, seconds: float) -> None:
        """As a browser: run the fragment again and again."""

        async def again() -> None:
            while True:
                await asyncio.sleep(seconds)
                await self._send({}, fragment)

        if (old := self._timers.pop(fragment, None)) is not None:
            old.cancel()
        self._timers[fragment] = asyncio.create_task(again())

    def _forget_timers(self) -> None:
        for task in self._timers.values():
            task.cancel()
        self._timers = {}


class Server:
    """The app on a store."""

    def __init__(self, store: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.store_path = store
        command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py")]
        command += ["--server.port", str(self.port), "--server.headless", "true"]
        environment = {**os.environ, "MTL_STORE": str(self.store_path)}
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet
        )
        self.url = f"ws://127.0.0.1:{self.port}/_stcore/stream"
        for _ in range(300):
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_stcore/health").read()
                return
            time.sleep(0.2)
        raise TimeoutError("the server did not start")

    @property
    def memory_mb(self) -> float:
        """Resident."""
        words = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(words[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def stop(self) -> None:
        worker = Store(self.store_path).worker()
        for pid in [self.process.pid, *([int(worker["pid"])] if worker else [])]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        self.process.wait(timeout=60)


async def visits(
    server: Server, count: int, seconds: float, query: str = "setting=digits&aux=digits2"
) -> tuple[list[float], list[float]]:
    """Seconds of the first page of each of so many visitors at once, and of all interactions.

    Args:
        query: the question that they all look at.
    """
    sessions = [Session(server.url, "what_if", query) for _ in range(count)]
    for session in sessions:
        await session.__aenter__()
    try:
        first = await asyncio.gather(*(session.open() for session in sessions))
        until = time.perf_counter() + seconds
        told = await asyncio.gather(*(_looking(session, until) for session in sessions))
        problems = {line for session in sessions for line in session.exceptions}
        assert not problems, problems
        return list(first), [one for of in told for one in of]
    finally:
        for session in sessions:
            await session.__aexit__()


async def _looking(session: Session, until: float) -> list[float]:
    found, place = [], 0
    await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))
    while time.perf_counter() < until:
        place += 1
        found.append(await session.look(VIEWS[place % len(VIEWS)]))
        await asyncio.sleep(PAUSE_SECONDS)
    return found


VIEWS = ("Factors", "Gradients", "Over epochs")
WATCHED = "setting=digits&aux=digits2&preset=paper&seeds=0&lr=0.001"
"""The first question of ``submit(server, 0)``, whose page looks again by itself every second."""


async def loads(server: Server, count: int) -> None:
    """So many page loads, one after the other, of all pages in turn."""
    pages = ("", "what_if", "pareto_front", "gradient_playground", "evidence", "factors", "library")
    for place in range(count):
        async with Session(server.url, pages[place % len(pages)]) as session:
            await session.open()


def share(values: Sequence[float], part: float) -> float:
    """The value below which that part of them lies."""
    ordered = sorted(values)
    return ordered[min(round(part * len(ordered)), len(ordered) - 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="*", default=[10, 30])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pages", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "runs.db")
        try:
            asyncio.run(visits(server, 1, 0.0))  # somebody has looked before
            for count in options.sessions:
                submit(server, count)
                first, every = asyncio.run(visits(server, count, options.seconds))
                median, late = BUDGETS.get(count, (float("nan"),) * 2)
                going = sum(record.active for record in Store(server.store_path).runs())
                print(
                    f"{count} visitors, {going} runs still going: first page {max(first):.1f} s "
                    f"at most (budget {FIRST_SECONDS:g} s); {len(every)} interactions, median "
                    f"{share(every, 0.5):.2f} s (budget {median:g} s), 95 % within "
                    f"{share(every, 0.95):.2f} s (budget {late:g} s)"
                )
            submit(server, 0)
            first, every = asyncio.run(visits(server, 30, options.seconds, WATCHED))
            print(
                f"30 visitors who watch the same run: first page {max(first):.1f} s at most; "
                f"{len(every)} interactions, median {share(every, 0.5):.2f} s, 95 % within "
                f"{share(every, 0.95):.2f} s"
            )
            asyncio.run(loads(server, options.pages))
            print(
                f"memory after {options.pages} page loads: {server.memory_mb:,.0f} MB "
                f"(budget {MEMORY_MB} MB)"
            )
        finally:
            server.stop()


def submit(server: Server, count: int) -> None:
    """Two questions that take longer than the visits."""
    for auxiliary in ("digits2", "noisy_digits"):
        config = RunConfig.from_preset(
            "digits", "paper", auxiliaries=(auxiliary,), lr=1e-3 + 1e-6 * count, seeds=(0,)
        )
        Store(server.store_path).submit(config)


if __name__ == "__main__":
    main()
