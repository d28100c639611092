"""From Run to the last point, with a real store and a real warm worker.

    python benchmarks/live.py [--setting digits fashion]

Per setting: the panel of single task, + helpful, + noisy, three seeds each, at the quick preset;
seconds until the store has the first row, and until all curves are complete. Also how long the
command line takes to answer ``list``. Seconds depend on the machine; the budgets are those of two
CPU cores.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mtl_core import RunConfig, settings
from mtl_core.runs import Store
from mtl_core.runs.queue.launch import tend

BUDGETS = {"digits": (3, 30), "fashion": (3, 90)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--setting", nargs="*", default=list(BUDGETS))
    options = parser.parse_args()
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "mtl_core", "list", "settings"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    print(f"list settings: {time.perf_counter() - started:.2f} s (budget 1 s)")
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "runs.db")
        tend(store)
        while (worker := store.worker()) is None:
            time.sleep(0.1)
        time.sleep(20)  # what a user takes to look at the first paint, and a worker to get warm
        try:
            for setting in options.setting:
                first, last = panel(store, setting)
                budgets = BUDGETS[setting]
                print(
                    f"{setting}, quick: first point {first:.1f} s (budget {budgets[0]} s), "
                    f"all nine curves {last:.1f} s (budget {budgets[1]} s)"
                )
        finally:
            os.kill(int(worker["pid"]), signal.SIGTERM)
            time.sleep(2)


def panel(store: Store, setting: str) -> tuple[float, float]:
    """Seconds to the first row and to the last."""
    base = RunConfig.from_preset(setting, "quick")
    others = [task.name for task in settings.get(setting).tasks if task.name != base.target]
    configs = [base, *(RunConfig.from_preset(setting, "quick", auxiliaries=(o,)) for o in others)]
    started = time.perf_counter()
    store.submit(*configs)
    first = None
    while True:
        time.sleep(0.05)
        if first is None and len(store.table(base, "trajectory")):
            first = time.perf_counter() - started
        runs = [record for config in configs for record in store.runs(config.id)]
        states = {record.state for record in runs}
        if states == {"done"} and first is not None:
            return first, time.perf_counter() - started
        if "failed" in states:
            raise SystemExit(f"failed: {[record.error for record in runs]}")


if __name__ == "__main__":
    main()
