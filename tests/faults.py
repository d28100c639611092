"""A fault campaign: whatever is killed, stopped, filled or damaged while runs go on, nothing that
was committed is lost, no value is wrong, nothing is damaged in silence, and nothing hangs.

    python tests/faults.py --n 1000 --seed 0

Faults of all kinds, in turn, each against real files or real processes; then the system is let go
on as a user would, and everything is compared with an undisturbed run, bit for bit. The table that
is printed says of each kind how often it was injected, and how often something was

- lost: rows that were committed are gone, though the file that had them was not damaged;
- wrong: another value than in an undisturbed run, or an error that is not written for people;
- silent: rows, a state or a whole run went missing without a word where users look;
- stuck: a run that is not over in time.
"""

import argparse
import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.load import Server, Session  # noqa: E402
from mtl_core import watch  # noqa: E402
from mtl_core.config import RunConfig  # noqa: E402
from mtl_core.errors import StoreError  # noqa: E402
from mtl_core.runs import kinds  # noqa: E402
from mtl_core.runs.grids import replica as replica_module  # noqa: E402
from mtl_core.runs.grids.precompute import precompute  # noqa: E402
from mtl_core.runs.grids.scratch import Scratch  # noqa: E402
from mtl_core.runs.library import artifacts  # noqa: E402
from mtl_core.runs.queue import launch, lockstep  # noqa: E402
from mtl_core.runs.queue.lockstep import Lockstep  # noqa: E402
from mtl_core.runs.queue.records import Key  # noqa: E402
from mtl_core.runs.queue.slices import Stacks  # noqa: E402
from mtl_core.runs.queue.store import Store  # noqa: E402

__all__ = ["KINDS", "SHORT", "Count", "campaign", "table"]

Hurt = Callable[[bytes, random.Random], bytes]
Tables = dict[str, pd.DataFrame]

STUCK_SECONDS = 180.0
"""A run that takes longer hangs; undisturbed ones take a second."""
STOPPED_SECONDS = 1.5
"""How long a stopped process is waited for here; for people it is longer."""
WORKER = "1-fault"


@dataclass
class Count:
    """How often something came of a kind of fault."""

    injected: int = 0
    lost: int = 0
    wrong: int = 0
    silent: int = 0
    stuck: int = 0
    examples: list[str] = field(default_factory=list)

    def take(self, found: "Found", what: str) -> None:
        self.injected += 1
        for name in ("lost", "wrong", "silent", "stuck"):
            if words := getattr(found, name):
                setattr(self, name, getattr(self, name) + 1)
                self.examples.append(f"{what}: {name}: {words}")


@dataclass
class Found:
    """What came of one fault: what was lost, wrong, silent or stuck, in words; None is well."""

    lost: str | None = None
    wrong: str | None = None
    silent: str | None = None
    stuck: str | None = None


def campaign(
    count: int,
    seed: int,
    names: list[str] | None = None,
    folder: Path | None = None,
    said: TextIO | None = None,
) -> dict[str, Count]:
    """Inject so many faults, of the kinds in turn; the same seed gives the same damage.

    Args:
        said: where each fault is named as it is over.
    """
    counts = {name: Count() for name in names or KINDS}
    with (
        tempfile.TemporaryDirectory(dir=folder) as own,
        _quick(),
        redirect_stdout(StringIO()),  # what a worker would write into its log
        Ground(Path(own)) as ground,
    ):
        for number in range(count):
            name = list(counts)[number % len(counts)]
            rng = random.Random(f"{seed}/{number}")
            try:
                found = KINDS[name](ground, rng)
            except Stuck as error:
                found = Found(stuck=str(error))
                ground.end_worker()
            except Exception as error:
                traceback.print_exc()
                found = Found(wrong=f"{type(error).__name__}: {error}")
            counts[name].take(found, f"{name}, fault {number} of seed {seed}")
            if said is not None:
                print(f"{number + 1}/{count} {name}: {found}", file=said, flush=True)
    return counts


def table(counts: dict[str, Count]) -> str:
    names = ("injected", "lost", "wrong", "silent", "stuck")
    lines = [f"{'kind':34}" + "".join(f"{name:>10}" for name in names)]
    for kind, one in counts.items():
        lines.append(f"{kind:34}" + "".join(f"{getattr(one, name):10}" for name in names))
    total = [sum(getattr(one, name) for one in counts.values()) for name in names]
    return "\n".join([*lines, f"{'all':34}" + "".join(f"{one:10}" for one in total)])


class Stuck(Exception):
    """Something did not come to its end in time."""


def config_of(size: int, seeds: tuple[int, ...] = (0, 1)) -> RunConfig:
    return RunConfig.from_preset(
        "digits",
        "quick",
        auxiliaries=("digits2",),
        epochs=size,
        batch_size=16,
        samples=64,
        held_out=50,
        width=4,
        early_checkpoints=2,
        seeds=seeds,
        factors=(),
    )


SMALL, LONGER = config_of(6), config_of(60)
"""For damage, which needs no time, and for processes, which must be caught at work."""


@contextmanager
def _quick() -> Iterator[None]:
    """Short slices in this process, and little patience with what is stopped."""
    before = lockstep.SLICE_SECONDS, lockstep.END_PAUSES, watch.STOPPED_SECONDS
    lockstep.SLICE_SECONDS, lockstep.END_PAUSES = 0.0, (0.0, 0.0)
    watch.STOPPED_SECONDS = STOPPED_SECONDS
    try:
        yield
    finally:
        lockstep.SLICE_SECONDS, lockstep.END_PAUSES, watch.STOPPED_SECONDS = before


def until(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + STUCK_SECONDS
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise Stuck(f"waited in vain for {what}")


# What there is and should be.


def clockless(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop(columns="seconds", errors="ignore").reset_index(drop=True)


def tables_of(store: Store, config: RunConfig) -> Tables:
    return {name: clockless(store.table(config, name)) for name in kinds.of(config).tables}


def differs(found: Tables, expected: Tables) -> str | None:
    """In which table, if in any."""
    for name, rows in expected.items():
        if not (found[name].empty and rows.empty) and not found[name].equals(rows):
            return f"{len(found[name])} rows of {name}, expected {len(rows)}, or other values"
    return None


def missing(before: Tables, found: Tables) -> int:
    """Rows of ``before`` that are not in ``found`` as they were."""
    lost = 0
    for name, rows in before.items():
        if len(rows):
            both = rows.merge(found[name].drop_duplicates(), how="left", indicator=True)
            lost += int((both["_merge"] == "left_only").sum())
    return lost


def untrue(found: Tables, expected: Tables) -> int:
    """Rows that an undisturbed run has not."""
    return missing(found, expected)


class Singly(Stacks):
    """Slices of single runs, one at a time, in this process: to the last bit as in a pool's."""

    stacks = False


def carry_out(store: Store, slices: int = 10_000) -> None:
    """What is queued, in this process; after so many slices what is left stays running."""
    made = Lockstep(store, WORKER, "cpu", Singly())
    made.add(store.claim(WORKER))
    for _ in range(slices):
        if not made.going:
            return
        made.turn(store.beat(WORKER), 0.0)
    if slices == 10_000:
        raise Stuck("a run in this process")


def said_of(store: Store, config: RunConfig) -> list[str]:
    """Everything that a page shows of these runs besides their rows."""
    said = [store.notice or "", *store.notes(config), *store.unreadable().values()]
    said += [run.error or "" for run in store.runs(config.id)]
    return [words for words in said if words]


class Ground:
    """Where faults are injected: copies of stores and artifacts, and a worker that goes on.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0
        self._known: dict[str, Any] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.store: Store | None = None

    def __enter__(self) -> "Ground":
        return self

    def __exit__(self, *_: object) -> None:
        self.end_worker()

    def place(self) -> Path:
        """A new empty folder."""
        self._count += 1
        path = self.folder / str(self._count)
        path.mkdir()
        return path

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._known:
            self._known[name] = make()
        return self._known[name]

    def undisturbed(self, config: RunConfig) -> Tables:
        def make() -> Tables:
            store = Store(self.place() / "runs.db")
            store.submit(config)
            carry_out(store)
            return tables_of(store, config)

        return self.once(f"undisturbed {config.id}", make)

    # A store with two runs on their way, as a killed worker leaves it: with its log.

    def copy_of_store(self) -> Path:
        template = self.once("store", self._make_store)
        path = self.place() / "runs.db"
        for name in ("runs.db", "runs.db-wal", "runs.db.seen"):
            if (template / name).exists():
                shutil.copy(template / name, path.with_name(name))
        return path

    def _make_store(self) -> Path:
        folder = self.place()
        store = Store(folder / "making.db")
        store.submit(SMALL)
        with store.held():
            carry_out(store, 9)
            self._known["before"] = tables_of(store, SMALL)
            for suffix in ("", "-wal", ".seen"):
                shutil.copy(f"{store.path}{suffix}", folder / f"runs.db{suffix}")
        return folder

    def before(self) -> Tables:
        self.once("store", self._make_store)
        found: Tables = self._known["before"]
        return found

    # Artifacts, finished and on their way.

    def copy_of_artifacts(self) -> Path:
        def make() -> Path:
            out = self.place() / "out"
            with redirect_stderr(StringIO()):
                assert precompute([SMALL], out, jobs=1) == 0
            return out

        out = self.place() / "out"
        shutil.copytree(self.once("artifacts", make), out)
        return out

    def copy_of_scratch(self) -> Path:
        """Seed 0 has ended, seed 1 is on its way."""

        def make() -> Path:
            out = self.place() / "out"
            keep, kept = Scratch.keep, []

            def keep_some(scratch: Scratch, one: Any) -> None:
                keep(scratch, one)
                kept.append(one.seed)
                if kept.count(1) == 3:
                    raise KeyboardInterrupt

            before = replica_module.SLICE_SECONDS, replica_module.KEEPING
            replica_module.SLICE_SECONDS, replica_module.KEEPING = 0.0, float("inf")
            Scratch.keep = keep_some  # type: ignore[method-assign]
            try:
                with redirect_stderr(StringIO()), suppress(KeyboardInterrupt):
                    precompute([SMALL], out, jobs=1)
            finally:
                Scratch.keep = keep  # type: ignore[method-assign]
                replica_module.SLICE_SECONDS, replica_module.KEEPING = before
            return out

        out = self.place() / "out"
        shutil.copytree(self.once("scratch", make), out)
        return out

    # A real worker, which the app looks after.

    @property
    def control(self) -> Path:
        return self.folder / "control"

    def worker(self) -> Store:
        """The store of a real worker that is ready; it is started when there is none."""
        if self.store is None:
            self.control.write_text("0 -1")
            self.store = Store(self.place() / "runs.db")
        if not launch.worker_alive(self.store):
            self._start()
        until(lambda: len(self.pool()) >= 2, "a pool")
        return self.store

    def _start(self) -> None:
        assert self.store is not None
        self.collect()
        with launch.log_path(self.store.path).open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", LAUNCHER, str(self.control), str(self.store.path)],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(lambda: launch.worker_alive(self.store), "a worker")  # type: ignore[arg-type]

    def tend(self) -> str | None:
        """As the app does, with a worker of ours in the place of a plain one."""
        assert self.store is not None
        plain = launch._start
        launch._start = lambda _: self._start()  # type: ignore[assignment, func-returns-value]
        try:
            return launch.tend(self.store)
        finally:
            launch._start = plain

    def pool(self) -> list[int]:
        """The worker's processes that compute."""
        if self.process is None:
            return []
        return [pid for pid in watch.children(self.process.pid) if _computes(pid)]

    def collect(self) -> None:
        if self.process is not None and self.process.poll() is None and not self._holds():
            self.process.wait(STUCK_SECONDS)

    def _holds(self) -> bool:
        return self.store is not None and launch.worker_alive(self.store)

    def end_worker(self) -> None:
        if self.process is not None:
            own = watch.children(self.process.pid)
            self.process.kill()
            self.process.wait()
            for pid in own:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        self.process = self.store = None


def _computes(pid: int) -> bool:
    with suppress(OSError):
        return b"popen_loky" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


LAUNCHER = f"""
import resource, sys, threading, time

control, store = sys.argv[1:]
now, offset = time.time, 0.0
time.time = lambda: now() + offset

def obey():
    global offset
    while True:
        try:
            offset, size = map(float, open(control).read().split())
            soft = resource.RLIM_INFINITY if size < 0 else int(size)
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))
        except (OSError, ValueError):
            pass
        time.sleep(0.02)

threading.Thread(target=obey, daemon=True).start()

from functools import partial

from mtl_core import watch
from mtl_core.runs.queue import lockstep, worker
from mtl_core.training import pool

pool.ReplicaPool = partial(pool.ReplicaPool, rehearse=False)
watch.STOPPED_SECONDS = {STOPPED_SECONDS}
lockstep.SLICE_SECONDS = worker.HEARTBEAT_SECONDS = 0.1
sys.exit(worker.main(["--store", store, "--device", "cpu"]))
"""
"""A worker whose clock jumps and whose disk fills when the control file says so."""


# Damage.


def flipped(content: bytes, rng: random.Random) -> bytes:
    """One bit."""
    place = rng.randrange(len(content))
    changed = content[place] ^ (1 << rng.randrange(8))
    return content[:place] + bytes([changed]) + content[place + 1 :]


def zeroed(content: bytes, rng: random.Random) -> bytes:
    """A stretch, as after a power cut."""
    length = min(len(content), rng.choice((16, 512, 4096)))
    place = rng.randrange(len(content) - length + 1)
    return content[:place] + bytes(length) + content[place + length :]


def cut(content: bytes, rng: random.Random) -> bytes:
    """The end."""
    return content[: rng.randrange(len(content))]


def _file(suffix: str, hurt: Hurt) -> Callable[[Path, random.Random], bool]:
    def damage(path: Path, rng: random.Random) -> bool:
        if not suffix:  # with all that is in the log
            with closing(sqlite3.connect(path)) as db:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        file = Path(f"{path}{suffix}")
        before = file.read_bytes()
        file.write_bytes(after := hurt(before, rng))
        return after != before

    return damage


def _cell(name: str, column: str, hurt: Hurt) -> Callable[[Path, random.Random], bool]:
    """One value in the store, in a file that SQLite finds sound."""

    def damage(path: Path, rng: random.Random) -> bool:
        key = "run" if name == "states" else "run, step, name"
        with closing(sqlite3.connect(path)) as db, db:
            rows = db.execute(f"SELECT CAST({column} AS BLOB), {key} FROM {name}").fetchall()
            before, *where = rng.choice(rows)
            after = hurt(before, rng)
            terms = " AND ".join(f"{one.strip()} = ?" for one in key.split(","))
            what = "?" if name == "states" else "CAST(? AS TEXT)"
            db.execute(f"UPDATE {name} SET {column} = {what} WHERE {terms}", (after, *where))
            return bool(after != before)

    return damage


def damaged_store(damage: Callable[[Path, random.Random], bool]) -> Callable[..., Found]:
    def inject(ground: Ground, rng: random.Random) -> Found:
        path, expected, before = ground.copy_of_store(), ground.undisturbed(SMALL), ground.before()
        changed = damage(path, rng)
        said: list[str] = []
        store = _opened(path, said)
        with suppress(StoreError):
            store.reap()
        found = Found()
        states = {}
        try:
            kept = tables_of(store, SMALL)
            said += said_of(store, SMALL)
            lost, strange = missing(before, kept), untrue(kept, expected)
            states = {seed: store.state(Key(SMALL.id, seed)) for seed in SMALL.seeds}
            if (lost or None in states.values()) and changed:
                said += said_of(store, SMALL)
                if not _told(said):
                    found.silent = f"{lost} rows and {[*states.values()].count(None)} states"
            if strange:
                found.wrong = f"{strange} rows that nobody measured"
        except StoreError as error:
            said.append(str(error))
        _go_on(path, store, said)
        end = tables_of(_opened(path, said), SMALL)
        # What was damaged itself is left out, and that is said.
        less = untrue(end, expected) == 0 and any("left out" in line for line in said)
        if (words := differs(end, expected)) and not less:
            found.wrong = found.wrong or f"at the end {words} (said: {said})"
        return found

    return inject


def _told(said: list[str]) -> bool:
    return any("resume to go on where it stopped" not in words for words in said)


def _opened(path: Path, said: list[str]) -> Store:
    """The store, or after a word for people another in its place."""
    try:
        store = Store(path)
    except StoreError as error:
        said.append(str(error))
        path.rename(path.with_name("aside.db"))
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        store = Store(path)
    if store.notice:
        said.append(store.notice)
    return store


def _go_on(path: Path, store: Store, said: list[str]) -> None:
    """Resume to the end; what is said on the way is heeded once: the app is started again."""
    for _ in range(4):
        try:
            store.reap()
            store.submit(SMALL)
            carry_out(store)
        except StoreError as error:
            said.append(str(error))
            store = _opened(path, said)
            continue
        said += said_of(store, SMALL)
        if {run.state for run in store.runs(SMALL.id)} == {"done"}:
            return
    raise Stuck(f"runs are {[run.state for run in store.runs(SMALL.id)]}; said: {said}")


def damaged_artifact(pattern: str, hurt: Hurt) -> Callable[..., Found]:
    def inject(ground: Ground, rng: random.Random) -> Found:
        out, expected = ground.copy_of_artifacts(), ground.undisturbed(SMALL)
        file = rng.choice(sorted(out.rglob(pattern)))
        before = file.read_bytes()
        file.write_bytes(after := hurt(before, rng))
        found, problems = artifacts.scan(out)
        result = Found()
        if SMALL.id not in found and not problems and after != before:
            result.silent = f"{file.name} is gone without a word"
        if SMALL.id in found and (words := differs(_tables(found[SMALL.id]), expected)):
            result.wrong = words
        with redirect_stderr(StringIO()):
            code = precompute([SMALL], out, jobs=1)
        again = artifacts.scan(out)[0]
        if code or (words := differs(_tables(again[SMALL.id]), expected)):
            result.wrong = result.wrong or f"made again: {code or words}"
        return result

    return inject


def _tables(artifact: Any) -> Tables:
    return {name: clockless(artifact.table(name)) for name in artifact.kind.tables}


def damaged_scratch(pattern: str, hurt: Hurt) -> Callable[..., Found]:
    def inject(ground: Ground, rng: random.Random) -> Found:
        out, expected = ground.copy_of_scratch(), ground.undisturbed(SMALL)
        file = rng.choice(sorted((out / ".unfinished").glob(pattern)))
        before = file.read_bytes()
        file.write_bytes(after := hurt(before, rng))
        heard = StringIO()
        with redirect_stderr(heard):
            code = precompute([SMALL], out, jobs=1)
        result = Found()
        if code or (words := differs(_tables(artifacts.scan(out)[0][SMALL.id]), expected)):
            result.wrong = str(code or words)
        if after != before and file.name.rpartition("-")[0] not in heard.getvalue():
            result.silent = f"{file.name} was not taken, without a word"
        return result

    return inject


# Processes.


def process_fault(
    fault: Callable[[Ground, Store, random.Random], None], *, busy: bool = True, heard: bool = True
) -> Callable[..., Found]:
    """A fault that meets two runs at work, or before they begin; they are resumed to their end.

    Args:
        heard: whether something should be said of it.
    """

    def inject(ground: Ground, rng: random.Random) -> Found:
        expected, store = ground.undisturbed(LONGER), ground.worker()
        if busy:
            store.submit(LONGER)
            until(lambda: _begun(store), "some points")
            time.sleep(rng.random() * 0.3)
        before = tables_of(store, LONGER)
        fault(ground, store, rng)
        said: list[str] = []

        def over() -> bool:
            if words := ground.tend():
                said.append(words)
            runs = store.runs(LONGER.id)
            said.extend(run.error for run in runs if run.error)
            if len(runs) < 2 or any(run.state in ("failed", "cancelled") for run in runs):
                store.submit(LONGER)
            return len(runs) == 2 and all(run.state == "done" for run in runs)

        until(over, "the end of two runs")
        found, after = Found(), tables_of(store, LONGER)
        if lost := missing(before, after):
            found.lost = f"{lost} rows"
        found.wrong = differs(after, expected)
        if heard and not (said or store.notes(LONGER)):
            found.silent = "nothing is said of it"
        store.remove(LONGER.id)
        return found

    return inject


def _begun(store: Store) -> bool:
    runs = store.runs(LONGER.id)
    return len(runs) == 2 and all(run.step > 0 for run in runs)


def to_worker(number: int) -> Callable[..., None]:
    def fault(ground: Ground, _store: Store, _rng: random.Random) -> None:
        assert ground.process is not None
        ground.process.send_signal(number)

    return fault


def to_pool(number: int) -> Callable[..., None]:
    def fault(ground: Ground, _store: Store, rng: random.Random) -> None:
        os.kill(rng.choice(ground.pool()), number)

    return fault


def stop_while_all_hang(ground: Ground, store: Store, _rng: random.Random) -> None:
    """Every process is stopped, then the runs are, as a user does who sees nothing move."""
    for pid in ground.pool():
        os.kill(pid, signal.SIGSTOP)
    store.cancel(LONGER.id, LONGER.seeds)
    until(lambda: not any(run.active for run in store.runs(LONGER.id)), "a stop")


def clock_jump(ground: Ground, _store: Store, rng: random.Random) -> None:
    ground.control.write_text(f"{rng.choice((-1, 1)) * 10 ** rng.uniform(1, 8)} -1")


def full_disk(ground: Ground, store: Store, rng: random.Random) -> None:
    """No file grows any more, for a moment or until the worker gives up."""
    log = Path(f"{store.path}-wal")
    size = log.stat().st_size if log.exists() else 0
    ground.control.write_text(f"0 {rng.choice((0, size // 2, size))}")
    time.sleep(rng.choice((0.5, 2.0)))
    ground.control.write_text("0 -1")


def to_server(number: int) -> Callable[..., None]:
    """A signal to a web server that has just been asked for the page of these runs."""

    def fault(_ground: Ground, store: Store, rng: random.Random) -> None:
        server = Server(store.path)
        try:
            with ThreadPoolExecutor(1) as visitor:
                looking = visitor.submit(asyncio.run, _look(server.url))
                time.sleep(rng.random() * 4)
                server.process.send_signal(number)
                time.sleep(0.5)
                server.process.kill()
                with suppress(Exception):  # whatever became of the visitor
                    looking.result(STUCK_SECONDS)
        finally:
            server.process.kill()
            server.process.wait()

    return fault


async def _look(url: str) -> None:
    query = "setting=digits&aux=digits2&epochs=60&batch_size=16&samples=64&held_out=50&width=4"
    async with Session(url, "what_if", query) as session:
        await asyncio.wait_for(session.open(), 10)


PRECOMPUTE = """
import json, sys
from pathlib import Path
from mtl_core import watch
from mtl_core.config import RunConfig
from mtl_core.runs import kinds
from mtl_core.runs.grids import engines, replica
from mtl_core.runs.grids.precompute import precompute

watch.STOPPED_SECONDS, engines.LOOK_SECONDS = 1.5, 0.2
config = kinds.experiment("training", json.loads(sys.argv[2]), seeds=(0, 1))
sys.exit(precompute([config], Path(sys.argv[1]), jobs=2))
"""


def precompute_fault(who: str, number: int) -> Callable[..., Found]:
    """A signal to ``precompute`` or to one of its processes; it is called until all is done."""

    def inject(ground: Ground, rng: random.Random) -> Found:
        import json

        expected, out = ground.undisturbed(LONGER), ground.place() / "out"
        values = json.dumps(LONGER.to_dict())
        command = [sys.executable, "-c", PRECOMPUTE, str(out), values]
        said, found = "", Found()
        for attempt in range(3):
            process = subprocess.Popen(
                command,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stderr=subprocess.PIPE,
                text=True,
            )
            if not attempt:
                computing = lambda: [p for p in watch.children(process.pid) if _computes(p)]  # noqa: B023, E731
                until(lambda: len(computing()) == 2 or process.poll() is not None, "processes")  # noqa: B023
                time.sleep(rng.random() * 2)
                victim = process.pid if who == "itself" else rng.choice(computing())
                os.kill(victim, number)
                if who == "itself" and number == signal.SIGSTOP:
                    time.sleep(1.0)
                    process.send_signal(signal.SIGCONT)
            try:
                said += process.communicate(timeout=STUCK_SECONDS)[1]
            except subprocess.TimeoutExpired:
                process.kill()
                raise Stuck("precompute") from None
            if process.returncode == 0:
                break
        artifact = artifacts.scan(out)[0].get(LONGER.id)
        if artifact is None:
            found.lost = said[-200:]
        else:
            found.wrong = differs(_tables(artifact), expected)
        return found

    return inject


HURTS: dict[str, Hurt] = {"flip": flipped, "zeros": zeroed, "cut": cut}

DAMAGE: dict[str, Callable[..., Found]] = {
    **{f"store: {name}": damaged_store(_file("", hurt)) for name, hurt in HURTS.items()},
    **{f"log: {name}": damaged_store(_file("-wal", hurt)) for name, hurt in HURTS.items()},
    **{
        f"saved state: {name}": damaged_store(_cell("states", "state", hurt))
        for name, hurt in HURTS.items()
    },
    **{
        f"rows: {name}": damaged_store(_cell("pieces", "rows", hurt))
        for name, hurt in HURTS.items()
    },
    **{
        f"artifact's rows: {name}": damaged_artifact("*.parquet", hurt)
        for name, hurt in HURTS.items()
    },
    **{
        f"artifact's manifest: {name}": damaged_artifact("manifest.json", hurt)
        for name, hurt in HURTS.items()
    },
    **{
        f"precompute's frames: {name}": damaged_scratch("*.json", hurt)
        for name, hurt in HURTS.items()
    },
    **{
        f"precompute's state: {name}": damaged_scratch("*.npz", hurt)
        for name, hurt in HURTS.items()
    },
}
PROCESSES: dict[str, Callable[..., Found]] = {
    "worker killed": process_fault(to_worker(signal.SIGKILL)),
    "worker stopped": process_fault(to_worker(signal.SIGSTOP)),
    "busy process killed": process_fault(to_pool(signal.SIGKILL), heard=False),
    "busy process stopped": process_fault(to_pool(signal.SIGSTOP), heard=False),
    "idle process killed": process_fault(to_pool(signal.SIGKILL), busy=False, heard=False),
    "idle process stopped": process_fault(to_pool(signal.SIGSTOP), busy=False, heard=False),
    "stop while all hang": process_fault(stop_while_all_hang, heard=False),
    "server killed": process_fault(to_server(signal.SIGKILL), heard=False),
    "server stopped, then killed": process_fault(to_server(signal.SIGSTOP), heard=False),
    "clock jump": process_fault(clock_jump, heard=False),
    "disk full": process_fault(full_disk, heard=False),
    "precompute killed": precompute_fault("itself", signal.SIGKILL),
    "precompute stopped": precompute_fault("itself", signal.SIGSTOP),
    "precompute's process killed": precompute_fault("process", signal.SIGKILL),
    "precompute's process stopped": precompute_fault("process", signal.SIGSTOP),
}
KINDS = {**PROCESSES, **DAMAGE}
SHORT = [
    *("busy process killed", "idle process killed", "stop while all hang"),
    *("clock jump", "disk full", "saved state: cut", "rows: flip", "artifact's rows: flip"),
    *("artifact's manifest: cut", "precompute's frames: zeros", "precompute's state: flip"),
]
"""Kinds for every day: not those that start a worker or ``precompute`` anew, which other tests
do."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, metavar="KIND")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    said = sys.stderr if options.verbose else None
    counts = campaign(options.n, options.seed, options.kinds, said=said)
    print(table(counts))
    print(f"{options.n} faults in {time.monotonic() - started:.0f} s, seed {options.seed}")
    for one in counts.values():
        for line in one.examples[:5]:
            print(line)
    return int(any(one.examples for one in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
