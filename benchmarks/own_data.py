"""A table of one's own that is large: how long it takes to look at, to store and to train on.

    python benchmarks/own_data.py [--rows 100000] [--inputs 45]

Writes a CSV of that many rows whose five labels follow from the inputs, but for one that is noise;
reads it as *Add data* does, looks at it as that does after every click, stores it, and asks the
quick preset's questions of it. Printed are seconds of the wall clock and of the processor, the
largest memory that a process of its own needed for it, and what was learned beside what could be.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

LABELS = ("price", "demand", "noise", "tier", "bought")
CLASSES = 4


def planted(rows: int, inputs: int, seed: int = 0) -> tuple[pd.DataFrame, dict[str, float]]:
    """A table, and the metric of whoever knows the relation behind each label, on these rows.

    Two labels are numbers that follow from ten of the inputs, one of them not linearly, one is
    noise, and two are classes.
    """
    random = np.random.default_rng(seed)
    numbers = random.standard_normal((rows, inputs - 2))
    site = random.choice(["north", "south", "east", "west"], rows)
    grade = random.integers(0, 5, rows)
    effect = pd.Series(site).map({"north": 1.0, "south": -1.0, "east": 0.0, "west": 0.5})
    first, second, third = random.standard_normal((3, 10)) / np.sqrt(8) @ numbers[:, :10].T
    truth = {
        "price": first + effect.to_numpy() + 0.3 * grade,
        "demand": np.tanh(first) + 0.5 * numbers[:, 1] * numbers[:, 2],
        "noise": np.zeros(rows),
        "tier": second + effect.to_numpy(),
        "bought": third,
    }
    found = {f"x{place:02d}": numbers[:, place].round(4) for place in range(inputs - 2)}
    found |= {"site": site, "grade": grade}
    best = {"noise": 0.0}
    for name, size in (("price", 0.3), ("demand", 0.2), ("noise", 1.0)):
        found[name] = (truth[name] + size * random.standard_normal(rows)).round(4)
        if name != "noise":
            best[name] = float(np.corrcoef(truth[name], found[name])[0, 1])
    names = np.array(["bronze", "silver", "gold", "platinum"])
    for name, classes in (("tier", CLASSES), ("bought", 2)):
        noisy = truth[name] + 0.2 * random.standard_normal(rows)
        edges = np.quantile(noisy, np.arange(1, classes) / classes)
        place, known = np.searchsorted(edges, noisy), np.searchsorted(edges, truth[name])
        found[name] = names[place] if classes == CLASSES else place
        best[name] = float((place == known).mean())
    return pd.DataFrame(found), best


@contextmanager
def timed(what: str) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    print(
        f"{what}: {time.perf_counter() - wall:.1f} s, {time.process_time() - cpu:.1f} s of CPU, "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB at most so far"
    )


def look(file: Path) -> None:
    """What *Add data* does with a file, in this process."""
    from mtl_core.data import choices, sheet, stored
    from mtl_core.views import own_data

    with timed("read and preview"):
        found = sheet.read(file.read_bytes(), file.name)
        own_data.summary(found)
        own_data.columns(found)
    with timed("each look at it after a click"):
        choice = choices.guessed(found, LABELS)
        own_data.offered(found, ())
        own_data.offered(found, LABELS)
        own_data.balances(found, choice)
        own_data.split(found)
    with timed("store it"):
        made = choices.prepared(found, choice)
        print(stored.save(made.described, made.arrays))


def command(*arguments: str) -> None:
    """A command of the command line, with what it took."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "mtl_core", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{' '.join(arguments[:2])}: {time.perf_counter() - wall:.1f} s, "
        f"{used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime:.1f} s of CPU, "
        f"{used.ru_maxrss / 1024:,.0f} MB at most in any command so far"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--inputs", type=int, default=45)
    parser.add_argument("--preset", default="quick")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MTL_DATA_DIR"] = folder
        os.environ["MTL_STORE"] = str(Path(folder) / "runs.db")
        table, best = planted(options.rows, options.inputs)
        file = Path(folder) / "table.csv"
        table.to_csv(file, index=False)
        print(f"{len(table):,} rows × {len(table.columns)} columns, {file.stat().st_size >> 20} MB")
        command("data", "add", str(file), "--labels", *LABELS)
        look(file)
        (name,) = (path.stem for path in (Path(folder) / "own").glob("own-*.npz"))
        for target in LABELS:
            out = Path(folder) / target
            others = [label for label in LABELS if label != target]
            asked = ["--setting", name, "--target", target, "--aux", *others, "--seeds", "0"]
            command("run", *asked, "--preset", options.preset, "--out", str(out))
            rows = pd.read_parquet(out / "trajectory.parquet")
            rows = rows[(rows["task"] == target) & rows["whole_epoch"]]
            reached = rows.loc[rows["val_metric"].idxmax(), "test_metric"]
            print(f"{target}: {reached:.3f}; who knows the relation: {best[target]:.3f}")


if __name__ == "__main__":
    main()
