"""A store with 20,000 runs: how long the server takes to render each page, cold and warm.

    python benchmarks/store.py [--runs 20000] [--store FILE]

The runs are a sweep that somebody may have made: at each learning rate the target tasks of three
settings, alone and with auxiliaries, by four optimizers, three seeds each, with 100 rows of made-up
numbers a run. Streamlit's own AppTest runs the pages, so what is timed is the script with its
queries, tables, charts and their serialisation, without network and browser: ``cold`` is a page's
first rendering in a process that has rendered no other, ``after a change`` the one after a run was
finished, ``warm`` the median of others. The same with an empty store is what the ratios are to.
Seconds are the processor's, so what else the machine does hardly counts.
With ``--store`` the runs are written to a file that stays, and read from it when it is there.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations, count
from pathlib import Path

import numpy as np

from mtl_core import RunConfig, settings
from mtl_core.runs import Store
from mtl_core.runs.kinds import Piece

ROWS = 100
"""Of each run."""
SETTINGS = ("digits", "synthetic", "fashion")
OPTIMIZERS = ("umtg", "pcgrad", "mgda", "cagrad")
SEEDS = (0, 1, 2)
BUDGET = 1.5  # seconds, warm
PAGES = (
    "overview",
    "what_if",
    "library",
    "evidence",
    "generalization_gap",
    "factors",
    "smtos",
    "conflict",
    "pareto_front",
    "gradient_playground",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--store", type=Path, help="default: a file that is deleted afterwards")
    parser.add_argument("--pages", nargs="*", choices=PAGES, default=PAGES)
    parser.add_argument("--profile", action="store_true", help="what takes the time, per page")
    parser.add_argument("--page", choices=PAGES, help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args()
    if options.page:
        print(*render(options.page, options.profile))
        return
    with tempfile.TemporaryDirectory() as folder:
        full = (options.store or Path(folder) / "full" / "runs.db").absolute()
        started = time.perf_counter()
        if not full.exists():
            fill(Store(full), options.runs)
            print(f"{options.runs:,} runs written in {time.perf_counter() - started:.0f} s")
        print(f"{full.stat().st_size / 2**20:,.0f} MB; processor seconds (ratio to an empty store)")
        for page in options.pages:
            empty = timed(page, Path(folder) / "empty" / "runs.db", [])
            more = ["--profile"] if options.profile else []
            print_line(page, timed(page, full, more), empty)


def print_line(page: str, full: list[float], empty: list[float]) -> None:
    words = [
        f"{name} {own:6.2f} ({own / max(other, 1e-3):4.1f})"
        for name, own, other in zip(("cold", "after a change", "warm"), full, empty, strict=True)
    ]
    over = "" if full[-1] <= BUDGET else f"   above {BUDGET:g} s"
    print(f"{page:20} {'   '.join(words)}{over}", flush=True)


def timed(page: str, store: Path, more: list[str]) -> list[float]:
    """A page's seconds in a process of its own: cold, after a change, warm."""
    done = subprocess.run(
        [sys.executable, __file__, "--page", page, *more],
        env={**os.environ, "MTL_STORE": str(store)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    *told, last = done.stdout.splitlines()
    print("\n".join(told), end="\n" if told else "")
    return [float(word) for word in last.split()]


# The runs.


def fill(store: Store, runs: int) -> None:
    """Finished runs, but for the last question's, which are queued."""
    store.path.parent.mkdir(parents=True, exist_ok=True)
    left = runs
    for batch in batches():
        batch = batch[: max(left // len(SEEDS), 1)]
        store.submit(*batch)
        left -= len(batch) * len(SEEDS)
        if left < len(SEEDS):
            return
        for record in store.claim("benchmark"):
            store.save(record.key, "benchmark", pieces(record.config, record.seed), seconds=20.0)
            store.finish(record.key, "benchmark", "done")


def batches() -> Iterator[list[RunConfig]]:
    """Questions: all experiments of a setting at a learning rate."""
    for number in count():
        for name in SETTINGS:
            setting = settings.get(name)
            tasks = [task.name for task in setting.tasks][:3]
            yield [
                RunConfig.from_preset(
                    name,
                    "quick",
                    target=target,
                    auxiliaries=auxiliaries,
                    optimizer=optimizer,
                    seeds=SEEDS,
                    lr=1e-4 * (1 + number),
                )
                for target in tasks
                for size in (0, 1, 2)
                for auxiliaries in combinations([task for task in tasks if task != target], size)
                for optimizer in (OPTIMIZERS if auxiliaries else OPTIMIZERS[:1])
            ]


def pieces(config: RunConfig, seed: int) -> list[Piece]:
    """Losses that fall and metrics that rise, at evenly spaced steps; the same for any rate."""
    words = {"setting": config.setting, "auxiliaries": config.auxiliaries_label}
    words["optimizer"] = config.optimizer
    return [
        Piece(seed, step, {"trajectory": {**columns, **words}})
        for step, columns in measured(config.tasks, config.steps, config.steps_per_epoch, seed)
    ]


@lru_cache(maxsize=1_024)
def measured(
    tasks: tuple[str, ...], steps: int, epoch: int, seed: int
) -> list[tuple[int, dict[str, object]]]:
    """Columns by step."""
    count, points = len(tasks), ROWS // len(tasks)
    random = np.random.default_rng([seed, count])
    found = []
    for point in range(points):
        share = point / (points - 1)
        step = round(share * steps)
        noise = random.normal(size=(7, count))
        columns: dict[str, object] = {
            "": count,
            "seed": seed,
            "task": list(tasks),
            "role": ["target"] + ["auxiliary"] * (count - 1),
            "step": step,
            "epoch": step / epoch,
            "whole_epoch": step > 0 and step % epoch == 0,
            "train_loss": (2 * np.exp(-3 * share + 0.05 * noise[0])).tolist(),
            "val_metric": (0.5 + 0.4 * share + 0.01 * noise[1]).clip(0, 1).tolist(),
            "test_metric": (0.5 + 0.4 * share + 0.01 * noise[2]).clip(0, 1).tolist(),
            "sharpness": np.exp(-share + 0.1 * noise[3]).tolist(),
            "fisher_trace": np.exp(1 - share + 0.1 * noise[4]).tolist(),
            "gradient_covariance": np.exp(2 - share + 0.1 * noise[5]).tolist(),
            "gradient_similarity": (0.1 * noise[6]).clip(-1, 1).tolist(),
            "seconds": 20.0 * share,
        }
        found.append((step, columns))
    return found


# The pages.


def render(page: str, profile: bool) -> tuple[float, float, float]:
    """Seconds of a page: the first time, after a run has advanced, and the median of others."""
    import cProfile
    import pstats
    from unittest import mock

    from streamlit.testing.v1 import AppTest

    store = Store()
    root = Path(__file__).resolve().parents[1]
    profiler = cProfile.Profile()

    def run() -> float:
        started = time.process_time()
        app.run()
        seconds = time.process_time() - started
        assert not app.exception, app.exception
        return seconds

    # No worker: it would compute on the same cores, and carry out what waits.
    with mock.patch("mtl_core.runs.queue.launch.tend", return_value=None):
        app = AppTest.from_file(str(root / "app.py"), default_timeout=600)
        app.switch_page(f"pages/{page}.py")
        cold = run()
        run()
        for record in store.claim("benchmark", 1):
            store.save(record.key, "benchmark", pieces(record.config, record.seed)[:1])
            store.finish(record.key, "benchmark", "done")
        changed = run()
        times = [run() for _ in range(5)]
        if profile:
            profiler.enable()
            run()
            profiler.disable()
            pstats.Stats(profiler).sort_stats("cumulative").print_stats(45)
    return cold, changed, statistics.median(times)


if __name__ == "__main__":
    main()
