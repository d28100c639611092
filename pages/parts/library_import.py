"""The Library page's way in: files of another machine, and what became of them."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from mtl_core import InputError
from mtl_core.runs.library import exchange
from mtl_core.runs.library.answers import Answers, Origin
from mtl_core.runs.library.exchange import Received
from mtl_core.views.phrases import counted
from pages.parts import uploads

__all__ = ["BACK", "button"]

BACK: dict[Origin, str] = {
    "own": "on this machine",
    "imported": "imported",
    "shipped": "shipped with the app",
}
"""Sources in words."""


def button(answers: Answers, choose: Callable[[tuple[str, ...]], None]) -> None:
    """Asks for files and takes them in.

    What came of it is left in the session, under ``library_done`` and ``library_failed``.

    Args:
        choose: takes the keys of what was in the files.
    """
    with (
        st.popover("Import", icon=":material/upload_file:"),
        st.form("library_import", clear_on_submit=True, border=False),
    ):
        files = st.file_uploader(
            "Runs from another machine",
            type=["zip", "json", "parquet"],
            accept_multiple_files=True,
            help="A zip file as Export makes them, or the manifest.json and *.parquet files of "
            "one experiment. They are checked, and kept beside your own runs.",
        )
        if st.form_submit_button("Import", icon=":material/upload_file:") and files:
            keys = _take_in(files, answers)
            uploads.release(files)
            if keys:
                choose(keys)
            st.rerun()


def _take_in(files: Sequence[Any], answers: Answers) -> tuple[str, ...]:
    """Each zip file by itself, and the other files together as one experiment."""
    zipped = [file for file in files if Path(file.name).suffix.lower() == ".zip"]
    loose = {file.name: file for file in files if file not in zipped}
    parcels: list[tuple[str, Callable[[], list[Received]]]] = [
        (file.name, partial(exchange.receive_zip, file, file.name, answers)) for file in zipped
    ]
    if loose:
        parcels.append(("these files", partial(exchange.receive_files, loose, answers)))
    done: list[str] = []
    failed: list[str] = []
    keys: list[str] = []
    for name, receive in parcels:
        try:
            received = receive()
        except InputError as error:
            failed.append(str(error))
            continue
        done += [f"{name}: {line}" for line in _became(received)]
        for one in received:
            sources = [*(["imported"] if one.seeds else []), *one.kept.values()]
            keys += [f"{source}:{one.run}" for source in sources]
    st.session_state.library_done, st.session_state.library_failed = done, failed
    return tuple(dict.fromkeys(keys))


def _became(received: Sequence[Received]) -> list[str]:
    """What became of some experiments, in lines."""
    lines = []
    if new := [one for one in received if one.seeds]:
        runs = counted(sum(len(one.seeds) for one in new), "run")
        lines.append(f"imported {runs} of {_named(new)}.")
    for source, back in BACK.items():
        there = [one for one in received if source in one.kept.values()]
        kept = sum(origin == source for one in there for origin in one.kept.values())
        if kept:
            runs, are = counted(kept, "run"), "is" if kept == 1 else "are"
            what = f"{runs} of {_named(there)} {are} here already ({back})"
            lines.append(f"{what}; what was here was kept.")
    if ahead := [one for one in received if one.foretold]:
        lines.append(f"a look-ahead came with {_named(ahead)}.")
    return lines


def _named(some: Sequence[Received]) -> str:
    return f"experiment {some[0].run}" if len(some) == 1 else counted(len(some), "experiment")
