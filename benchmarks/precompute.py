"""A grid through the command line: how busy it keeps its processes, and what it costs beside them.

    python benchmarks/precompute.py [--backend loky|dask|ray] [--jobs 2] [--sets 4]

Trains learning rates × auxiliaries of digits at the quick preset, three seeds each, with factors,
into an empty folder, from `python -m mtl_core precompute` to its exit. The busy share is the
runs' own seconds of training and measuring over processes × wall; the overhead is the rest of
the wall per experiment: starting Python and PyTorch, handing out, writing artifacts.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mtl_core.runs.library import artifacts

PLAN = """
[[grid]]
setting = "digits"
preset = "quick"
auxiliaries = [[], ["digits2"], ["noisy_digits"]]
lr = {rates}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="loky")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--sets", type=int, default=4, help="learning rates, three experiments each"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plan, out = Path(folder) / "plan.toml", Path(folder) / "out"
        plan.write_text(PLAN.format(rates=[1e-3 / 2**n for n in range(options.sets)]))
        command = [sys.executable, "-m", "mtl_core", "precompute", str(plan), "--out", str(out)]
        started = time.perf_counter()
        subprocess.run(
            [*command, "--backend", options.backend, "--jobs", str(options.jobs)],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        wall = time.perf_counter() - started
        found, _ = artifacts.scan(out)
    groups = [group for artifact in found.values() for group in artifact.made]
    seconds = sum(group["duration_seconds"] for group in groups)
    runs = sum(len(group["seeds"]) for group in groups)
    print(
        f"{options.backend}, {len(found)} experiments, {runs} runs of {seconds / runs:.1f} s, "
        f"{options.jobs} processes: {wall:.1f} s, busy {seconds / (options.jobs * wall):.0%} "
        f"(budget 90 %), overhead {(wall - seconds / options.jobs) / len(found):.2f} s per "
        "experiment (budget 2 s)"
    )


if __name__ == "__main__":
    main()
