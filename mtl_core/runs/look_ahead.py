"""Look-ahead affinity of a contest's candidates: which joint run tells, and who carries it out.

The run is small beside a race and no part of it: it is none of the queue's, and what it finds is
kept in a file of its own (``library.look_aheads``). ``python -m mtl_core.runs.look_ahead CONFIG
SEED PARENT`` is the process that pages have for it.
"""

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mtl_core import checks, settings
from mtl_core.config import RunConfig
from mtl_core.errors import InputError, TrainingDiverged
from mtl_core.processes import end_with, start_module
from mtl_core.runs import kinds
from mtl_core.runs.library import artifacts, look_aheads
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.look_aheads import JointRun
from mtl_core.training.looks import looks

if TYPE_CHECKING:
    import subprocess

    from mtl_core.runs.race import Contest

__all__ = ["Computing", "compute", "computing", "estimate_seconds", "joint", "start", "stop"]


def joint(contest: "Contest") -> RunConfig:
    """The short joint run of a contest: its target with all candidates, at its budget's rates.

    As many epochs as the setting's shortest budget has, with the sum of all gradients, seed 0.
    """
    presets = settings.get(contest.setting).presets
    return RunConfig.from_preset(
        contest.setting,
        contest.preset,
        target=contest.target,
        auxiliaries=(*contest.given, *contest.candidates),
        epochs=min(preset.epochs for preset in presets.values()),
        factors=(),
        seeds=(0,),
    )


def compute(
    config: RunConfig,
    *,
    device: str | None = None,
    folder: Path | None = None,
    command: str = "",
    tell: Callable[[float], None] | None = None,
) -> JointRun:
    """Carry out a joint run in this process, look ahead along it, and keep what it finds.

    Args:
        config: ``joint`` of a contest; its first seed counts.
        device: ``cpu`` or ``cuda``; default: the best there is.
        folder: where it is kept; default: beside the store.
        command: what was said to get it, for the file.
        tell: is called with the share that is done.

    Raises:
        InputError: for what cannot be trained, or kept.
        DataMissing: when the setting's data is not on this machine.
        TrainingDiverged: when the target's loss is not finite.
    """
    from mtl_core.training import devices
    from mtl_core.training.look_ahead import look_ahead

    device = devices.choose(device)
    config = checks.with_seeds(config, config.seeds[:1])
    made = artifacts.provenance(config, device)
    del made["factors"]
    started = time.monotonic()
    found = look_ahead(config, device=device, tell=tell)
    made["duration_seconds"] = round(time.monotonic() - started, 3)
    if command:
        made["command"] = command
    run = JointRun(config, found, made)
    look_aheads.write(run, folder)
    return run


def estimate_seconds(config: RunConfig, answers: Answers) -> float | None:
    """How long it may take here, from runs of the same pace; None where there are none.

    A look differentiates every task's batch once more, and evaluates the target's once for each
    task and once before; nothing is evaluated at checkpoints.
    """
    seconds = answers.estimate_seconds(config, elsewhere=True)
    if seconds is None:
        return None
    tasks, batch = len(config.tasks), config.batch_size
    steps = config.steps * batch * tasks
    looking = sum(looks(config)) * batch * (tasks + (tasks + 1) / 3)
    return seconds * (steps + looking) * config.width / kinds.of(config).cost(config)


# In a process of its own, for pages.


@dataclass(frozen=True)
class Computing:
    """How far a look-ahead is that was started here.

    Attributes:
        running: whether it is under way.
        share: in [0, 1].
        starter: the visitor who started it.
        error: one line, set when it failed.
    """

    running: bool
    share: float
    starter: str
    error: str | None = None


@dataclass
class _Process:
    handle: "subprocess.Popen[bytes]"
    output: IO[bytes]
    starter: str
    stopped: bool = False


_processes: dict[str, _Process] = {}
_starting = threading.Lock()


def start(config: RunConfig, starter: str = "") -> str | None:
    """Begin to compute a look-ahead, unless that or another one is going on.

    Returns:
        None, or in a line why it was not begun: a server computes one at a time.
    """
    with _starting:
        if any(one.handle.poll() is None for one in _processes.values()):
            return "a look-ahead is being computed; try again when it is there"
        for one in _processes.values():
            one.output.close()
        _processes.clear()
        output = tempfile.TemporaryFile()  # noqa: SIM115 (the process's, while it runs)
        handle = start_module(
            "mtl_core.runs.look_ahead",
            json.dumps(config.to_dict()),
            str(config.seeds[0]),
            str(os.getpid()),
            output=output,
        )
        _processes[_key(config)] = _Process(handle, output, starter)
    return None


def computing(config: RunConfig) -> Computing | None:
    """The look-ahead of a joint run that was started here last; None if it was not, or stopped."""
    process = _processes.get(_key(config))
    if process is None or process.stopped:
        return None
    code = process.handle.poll()
    lines = _lines(process)
    shares = [line.removeprefix("share ") for line in lines if line.startswith("share ")]
    share = float(shares[-1]) if shares else 0.0
    error = None
    if code:
        said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        error = said[-1] if said else f"it ended with code {code}; try again"
    return Computing(code is None, share, process.starter, error)


def stop(config: RunConfig) -> None:
    """End it; nothing is kept of it."""
    process = _processes.get(_key(config))
    if process is not None:
        process.stopped = True
        process.handle.terminate()


def _key(config: RunConfig) -> str:
    return f"{config.id}-{config.seeds[0]}"


def _lines(process: _Process) -> list[str]:
    """What a process has said so far, without moving the place where it writes."""
    output = process.output
    if hasattr(os, "pread"):
        found = os.pread(output.fileno(), os.fstat(output.fileno()).st_size, 0)
    elif process.handle.poll() is None:
        return []
    else:
        output.seek(0)
        found = output.read()
    # The last line may be written at this moment.
    return found.decode(errors="replace").replace("\r", "").split("\n")[:-1]


def _carry_out(arguments: Sequence[str]) -> int:
    text, seed, parent = arguments
    end_with(int(parent))
    config = RunConfig.from_dict(json.loads(text), seeds=[int(seed)])
    try:
        compute(config, tell=lambda share: print(f"share {share:.4f}", flush=True))
    except (InputError, TrainingDiverged) as error:
        print(f"error: {' '.join(str(error).split())}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_carry_out(sys.argv[1:]))
