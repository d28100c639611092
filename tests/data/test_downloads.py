"""Downloads: one process each, and an error that is one line."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mtl_core.data import downloads, sources

Make = Callable[..., Any]
NAME = "fashion_mnist"
UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing was downloaded before; what is started here is ended."""
    processes: dict[str, Any] = {}
    monkeypatch.setattr(downloads, "_processes", processes)
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "data"))
    yield
    for process in processes.values():
        process.handle.kill()
        process.handle.wait()
        process.output.close()


def stub(monkeypatch: pytest.MonkeyPatch, code: str) -> list["subprocess.Popen[bytes]"]:
    """Let the download be any Python code."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, output: Any) -> "subprocess.Popen[bytes]":
        assert arguments == ("mtl_core", "download", NAME)
        command = [sys.executable, "-c", code]
        started.append(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT))
        return started[-1]

    monkeypatch.setattr(downloads, "start_module", start)
    return started


def test_nothing_was_started() -> None:
    assert downloads.progress(NAME) is None


def test_it_runs_once_at_a_time_and_shows_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    started = stub(monkeypatch, "import time; time.sleep(60)")
    downloads.start(NAME)
    downloads.start(NAME)
    assert len(started) == 1
    assert downloads.progress(NAME) == downloads.Download(running=True, share=0.0)
    folder = sources.data_dir() / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(b"x" * 5_000_000)
    share = 5_000_000 / sources.total_bytes(NAME)
    assert downloads.progress(NAME) == downloads.Download(running=True, share=share)


def test_it_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    (process,) = (stub(monkeypatch, "print('there')"), downloads.start(NAME))[0]
    process.wait()
    assert downloads.progress(NAME) == downloads.Download(running=False, share=1.0)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("print('12%'); print('error: no network; check it'); exit(2)", "no network; check it"),
        ("print('12%\\r13%'); exit(3)", "the download ended with code 3; try again"),
        ("exit(2)", "the download ended with code 2; try again"),
        ("raise ValueError('x')", "the download ended with code 1; try again"),
    ],
)
def test_it_fails_with_one_line_and_can_be_tried_again(
    monkeypatch: pytest.MonkeyPatch, code: str, error: str
) -> None:
    started = stub(monkeypatch, code)
    downloads.start(NAME)
    started[-1].wait()
    assert downloads.progress(NAME) == downloads.Download(running=False, share=0.0, error=error)
    downloads.start(NAME)
    assert len(started) == 2
    started[-1].wait()
    assert downloads.progress(NAME).error == error


def test_a_server_that_cannot_be_reached_is_one_line(
    monkeypatch: pytest.MonkeyPatch, until: Make
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, UNREACHABLE)
    monkeypatch.setenv("no_proxy", "")
    downloads.start(NAME)
    until(lambda: not downloads.progress(NAME).running, "the end of the download", 90)
    error = downloads.progress(NAME).error
    assert error.startswith("FashionMNIST could not be downloaded (")
    assert error.endswith("data")
    assert len(error.splitlines()) == 1
