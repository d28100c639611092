"""Customs: where what comes in is unpacked and checked, in a process of its own, within bounds.

What a file says of its size need not be so: a few thousand bytes can unpack, or decode, to more
than a machine has. So nothing of it is read here before another process, which may neither take
much memory nor last long, has read all of it and found it sound.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mtl_core.errors import InputError
from mtl_core.processes import run_module
from mtl_core.runs.library import look_aheads, parcels
from mtl_core.runs.library.parcels import Parcel
from mtl_core.runs.library.soundness import checked

__all__ = ["PARCEL", "answered", "inspected"]

PARCEL = "parcel.zip"
MOST_BYTES = 128 * 2**20
"""Of memory that the other process may take on top of what its libraries do."""
MOST_SECONDS = 8
"""Of a processor."""
PATIENCE_SECONDS = 60.0
"""By the clock, on a machine that has other things to do."""
_turns = threading.BoundedSemaphore(1)  # so that many files at once take no more than one


def inspected(scratch: Path, parcel: Parcel | None = None) -> Parcel:
    """What is in a scratch folder, by what users call it; all of it is sound.

    Args:
        scratch: holds ``PARCEL``, which is unpacked there, or what was unpacked.
        parcel: what was; None for a zip file.

    Raises:
        InputError: for anything that is not sound, or takes too much to find out.
    """
    asked = None if parcel is None else [_names(part) for part in parcel]
    if not _turns.acquire(timeout=PATIENCE_SECONDS):
        raise InputError("others import files just now; try again in a minute")
    try:
        answer = _asked({"scratch": str(scratch), "found": asked})
    finally:
        _turns.release()
    if "found" in answer:
        return _parcel(scratch, answer["found"])
    if "error" in answer:
        raise InputError(str(answer["error"]))
    raise InputError(
        f"it takes more than {MOST_BYTES >> 20} MB of memory or {MOST_SECONDS} s to read; export "
        "fewer runs at a time"
    )


def answered(question: Mapping[str, Any]) -> dict[str, Any]:
    """What is found of a question of ``inspected``; nothing where memory does not suffice."""
    import pyarrow

    try:
        return {"found": _sound(Path(question["scratch"]), question["found"])}
    except InputError as error:
        return {"error": str(error)}
    except (MemoryError, pyarrow.ArrowMemoryError):
        return {}


def main() -> None:
    """Answer a question that is read from standard input."""
    # Other pools of memory take much of it in advance.
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    import pandas  # noqa: F401  before memory is counted
    import pyarrow.parquet

    pyarrow.set_cpu_count(1)
    question = json.load(sys.stdin)
    _bound()
    print(json.dumps(answered(question)))


def _asked(question: Mapping[str, Any]) -> Any:
    """What another process finds; nothing where it took too much."""
    try:
        said = run_module(
            "mtl_core.runs.library.customs", json.dumps(question), seconds=PATIENCE_SECONDS
        )
        return json.loads(said) if said else {}
    except (subprocess.TimeoutExpired, ValueError):
        return {}


def _sound(scratch: Path, asked: Sequence[Mapping[str, str]] | None) -> list[dict[str, str]]:
    if asked is None:
        with (scratch / PARCEL).open("rb") as file:
            parcel = parcels.unzipped(file, scratch)
    else:
        parcel = _parcel(scratch, asked)
    for place, folder in parcel.found.items():
        checked(folder, place)
    for path in parcel.ahead.values():  # on a setting that an artifact may describe
        look_aheads.checked(path)
    return [_names(part) for part in parcel]


def _names(part: Mapping[str, Path]) -> dict[str, str]:
    return {place: path.name for place, path in part.items()}


def _parcel(scratch: Path, parts: Sequence[Mapping[str, str]]) -> Parcel:
    """Inverse of ``_names`` of both parts."""
    found, ahead = ({str(k): scratch / str(v) for k, v in part.items()} for part in parts)
    return Parcel(found, ahead)


def _bound() -> None:
    """Bound memory and time of this process, where the system can."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
        most = _data_bytes() + MOST_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _data_bytes() -> int:
    """What counts against ``RLIMIT_DATA`` now."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main()
