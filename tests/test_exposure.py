"""Exposure: what another machine reaches, in each mode, tried from a second network address."""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from mtl_core import classes

ROOT = Path(__file__).resolve().parents[1]
NET = f"10.213.{os.getpid() % 256}"
"""Not one address for all runs: what is left of one that was killed would take the answers."""
HOST = f"{NET}.1"
REACH = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20).close()
except OSError as error:
    sys.exit(f"{type(error).__name__}")
"""


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[list[str]]:
    """A command that runs what follows in a network namespace, where this machine is ``HOST``."""
    if shutil.which("ip") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("needs a second network address: ip, as root")
    name = f"mtl{os.getpid()}"
    try:
        run("ip", "netns", "add", name)
        run("ip", "link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b")
        run("ip", "link", "set", f"{name}b", "netns", name)
        run("ip", "addr", "add", f"{HOST}/24", "dev", f"{name}a")
        run("ip", "link", "set", f"{name}a", "up")
        run("ip", "netns", "exec", name, "ip", "addr", "add", f"{NET}.2/24", "dev", f"{name}b")
        run("ip", "netns", "exec", name, "ip", "link", "set", f"{name}b", "up")
    except subprocess.CalledProcessError as error:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        pytest.skip(f"needs a network namespace: {error.stderr.decode().strip()}")
    command = ["ip", "netns", "exec", name]
    try:
        with socket.create_server((HOST, 0)) as open_to_all:
            assert reached(command, open_to_all.getsockname()[1]), "the namespace reaches nothing"
        yield command
    finally:
        run("ip", "netns", "del", name)


def served(target: str, port: int) -> list[str]:
    """The command that ``make run`` or ``make serve`` runs."""
    shown = subprocess.run(
        ["make", "--dry-run", "--silent", target, f"PORT={port}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.replace("\\\n", " ")
    (line,) = [line for line in shown.splitlines() if "streamlit run" in line]
    return ["sh", "-c", re.sub(r"\S*/python", f"exec {sys.executable}", line, count=1).replace(
        "MTL_SHARED=1 exec", "MTL_SHARED=1; export MTL_SHARED; exec"
    )]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, lend: Callable[[Path], None]) -> Path:
    """Of a server's store."""
    lend(tmp_path)
    return tmp_path


@contextlib.contextmanager
def server(target: str, folder: Path, **environment: str) -> Iterator[int]:
    """Its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        served(target, port),
        cwd=ROOT,
        env={
            **os.environ,
            **environment,
            "MTL_STORE": str(folder / "runs.db"),
            "STREAMLIT_SERVER_HEADLESS": "true",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(900):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1).read()
                break
            assert process.poll() is None, "the server has ended"
            time.sleep(0.2)
        else:
            raise AssertionError("the server did not come up")
        yield port
    finally:
        process.terminate()
        process.wait(timeout=60)


def reached(command: Sequence[str], port: int) -> bool:
    done = subprocess.run(
        [*command, sys.executable, "-c", REACH, HOST, str(port)], capture_output=True, check=False
    )
    return done.returncode == 0


async def visit(port: int, host: str, origin: str) -> tuple[str, list[str]]:
    """The session's id and what kinds of elements a page has that is opened under a name."""
    socket_ = await websockets.connect(
        f"ws://{host}/_stcore/stream",
        host="127.0.0.1",  # whatever the name would lead to
        port=port,
        subprotocols=[websockets.Subprotocol("streamlit")],
        origin=websockets.Origin(origin),
        max_size=None,
        open_timeout=60,
    )
    async with socket_:
        message = BackMsg()
        message.rerun_script.page_name = "what_if"
        await socket_.send(message.SerializeToString())
        session, kinds = "", []
        async for data in socket_:
            told = ForwardMsg()
            told.ParseFromString(data)  # type: ignore[arg-type]
            kind = told.WhichOneof("type")
            if kind == "new_session":
                session = told.new_session.initialize.session_id
            elif kind == "delta" and told.delta.WhichOneof("type") == "new_element":
                kinds.append(str(told.delta.new_element.WhichOneof("type")))
            elif kind == "script_finished" and told.script_finished == 0:  # not for a rerun
                status = await asyncio.to_thread(upload, port, session) if session else 0
                return str(status), kinds
    raise AssertionError("the connection was closed")


def upload(port: int, session: str) -> int:
    """The status of a file of one byte that is sent to a session, as a browser does."""
    base = f"http://127.0.0.1:{port}/_stcore"
    cookie = urllib.request.urlopen(f"{base}/health").headers["Set-Cookie"].split(";")[0]
    body = (
        b'--x\r\nContent-Disposition: form-data; name="a"; filename="a.csv"\r\n'
        b"Content-Type: text/csv\r\n\r\nx\r\n--x--\r\n"
    )
    request = urllib.request.Request(
        f"{base}/upload_file/{session}/1",
        body,
        {
            "Content-Type": "multipart/form-data; boundary=x",
            "Cookie": cookie,
            "X-Xsrftoken": cookie.partition("=")[2],
        },
        method="PUT",
    )
    try:
        return int(urllib.request.urlopen(request).status)
    except urllib.error.HTTPError as error:
        return error.code


def visited(port: int, host: str, origin: str | None = None) -> tuple[str, list[str]]:
    return asyncio.run(visit(port, host, origin or f"http://{host}"))


def refused(port: int, host: str, origin: str | None = None) -> bool:
    try:
        visited(port, host, origin)
    except (websockets.exceptions.WebSocketException, AssertionError):
        return True
    return False


def test_by_default_nobody_else_reaches_it(elsewhere: list[str], folder: Path) -> None:
    with server("run", folder) as port:
        assert not reached(elsewhere, port)
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((HOST, port), timeout=3)
        # Another site whose name was made to lead here, and one that asks in a visitor's browser.
        assert refused(port, f"evil.example:{port}")
        assert refused(port, f"localhost:{port}", "http://evil.example")
        status, kinds = visited(port, f"localhost:{port}")
        assert "selectbox" in kinds
        assert status == "204", "one's own files can be brought"


def test_shared_it_is_open_within_bounds(elsewhere: list[str], folder: Path) -> None:
    with server("serve", folder) as port:
        assert reached(elsewhere, port)
        assert refused(port, f"class.example:{port}", "http://evil.example")
        status, kinds = visited(port, f"class.example:{port}")
        assert "selectbox" in kinds
        assert status == "413", "no byte of an upload is taken in"


def test_shared_with_a_password_nothing_is_seen_before_it(folder: Path) -> None:
    with server("serve", folder, MTL_PASSWORD="open sesame", MTL_UPLOADS="1") as port:
        _, kinds = visited(port, f"class.example:{port}")
        assert kinds.count("text_input") == 1
        assert not {"selectbox", "metric", "vega_lite_chart", "multiselect"} & {*kinds}


def test_the_bounds_of_a_class_are_those_that_are_promised() -> None:
    """Its actions stand in the table of docs/security.md with the numbers of the code."""
    rows = (ROOT / "docs" / "security.md").read_text(encoding="utf-8").splitlines()
    promised = {row.split("|")[1].strip(): row.split("|")[2] for row in rows if row.count("|") > 3}

    def numbers(action: str) -> list[int]:
        return [int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*", promised[action])]

    opened = [classes.MOST_OWN, classes.MOST_CLASSES, classes.LASTS_HOURS]
    assert numbers("open a class in Lessons") == opened
    guessed = [classes.LONGEST_GUESS, classes.MOST_MINUTE, classes.MOST_GUESSES]
    assert numbers("guess in a class") == guessed
    assert numbers("try a class code") == [classes.MOST_TRIES, 10]
    assert len(classes.LETTERS) ** 8 > 10**10


def test_commands_that_are_tried_are_those_of_the_makefile() -> None:
    alone, shared = served("run", 1)[-1], served("serve", 1)[-1]
    assert "--server.address" not in alone, "the config binds to this machine"
    assert "MTL_SHARED=1" in shared
    config: Any = (ROOT / ".streamlit" / "config.toml").read_text()
    assert 'address = "127.0.0.1"' in config
