"""The pages on the paper's figures with the largest artifact: how long the server takes to render.

    python benchmarks/papers.py

One run of 20 tasks, 3 seeds and 100 checkpoints with all factors of every task, the single-task
runs of all 20, and for the conflict page 12 auxiliary sets of 2 to 20 tasks for each of 3 targets:
artifacts of made-up numbers in a folder of their own. Streamlit's own AppTest runs the pages, so
what is timed is the script with its queries, tables, charts and their serialisation, without
network and browser.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd

from mtl_core import RunConfig, settings
from mtl_core.runs.kinds import KINDS
from mtl_core.runs.library import artifacts
from mtl_core.settings import DataState, Preset, Setting, Task
from mtl_core.trajectory import COLUMNS

TASKS = tuple(f"task{number:02d}" for number in range(20))
TARGETS = TASKS[:3]
CHECKPOINTS = 100
PAGES = ("generalization_gap", "factors", "conflict")
BUDGET = 1.0  # seconds

PRESET = Preset(epochs=CHECKPOINTS - 1, batch_size=50, lr=1e-3, width=16, early_checkpoints=0)
SETTING = Setting(
    name="twenty",
    title="Twenty",
    description="Made-up numbers.",
    tasks=tuple(Task(name, name.capitalize(), 5, 2_500, 250, 250) for name in TASKS),
    default_target=TASKS[0],
    presets={"paper": PRESET},
    load=lambda names: {},
    encoder=lambda width: None,  # type: ignore[arg-type, return-value]
    data_state=lambda: DataState("missing", "There is none."),
)
MADE = {
    "created": "2024-01-01T00:00:00+00:00",
    "device": "made up",
    "versions": artifacts.versions(),
    "data_fingerprint": "0" * 16,
    "factors": {},
    "duration_seconds": 0.0,
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MTL_STORE"] = str(Path(folder) / "runs.db")
        cache = Path(folder) / "cache"
        with (
            mock.patch.dict(settings._SETTINGS, {SETTING.name: SETTING}),
            mock.patch("mtl_core.runs.library.artifacts.cache_dir", return_value=cache),
        ):
            write(cache)
            for page in PAGES:
                first, again = render(page)
                print(
                    f"{page}, 20 tasks: {again:.2f} s median of 7 renderings (budget {BUDGET:g} "
                    f"s), {first:.1f} s the first time"
                )


def write(cache: Path) -> None:
    """All artifacts, below ``cache``."""
    for config in configs():
        tables = {name: table.frame([]) for name, table in KINDS["training"].tables.items()}
        tables["trajectory"] = trajectory(config)
        made = [{"seeds": list(config.seeds), **MADE}]
        artifacts.write(cache / config.id, artifacts.Content(config, tables, made))


def configs() -> Iterable[RunConfig]:
    """The big run, the single tasks, and auxiliary sets at another learning rate."""
    base = RunConfig.from_preset(SETTING.name, "paper")
    yield RunConfig.from_preset(
        SETTING.name, "paper", auxiliaries=TASKS[1:], auxiliary_factors=True
    )
    for task in TASKS:
        yield RunConfig.from_preset(SETTING.name, "paper", target=task)
    random = np.random.default_rng(0)
    for target in TARGETS:
        others = [task for task in TASKS if task != target]
        for size in (2, 5, 10) * 4:
            chosen = tuple(random.choice(others, size - 1, replace=False).tolist())
            yield RunConfig.from_preset(
                SETTING.name, "paper", target=target, auxiliaries=chosen, lr=2 * base.lr
            )


def trajectory(config: RunConfig) -> pd.DataFrame:
    """Losses that fall by two decades, a gap that opens early, and factors that follow the loss."""
    count, tasks = CHECKPOINTS, config.tasks
    step = np.arange(count) * config.steps_per_epoch
    together = len(tasks) > 1
    tables = []
    for seed in config.seeds:
        for task in tasks:
            place = TASKS.index(task)
            random = np.random.default_rng([seed, place, len(tasks)])
            loss = 1.6 * 10 ** (-np.linspace(0, 1.3 if together else 2.0, count))
            loss = loss * np.exp(0.02 * random.normal(size=count))
            gap = together * (0.06 if place % 3 else -0.06 if place % 2 else 0.0)
            learned = 1 - loss / 1.6
            metric = (
                0.2 + (0.5 + gap) * np.sqrt(learned.clip(0)) + 0.004 * random.normal(size=count)
            )
            measured = task == config.target or config.auxiliary_factors
            noise = np.exp(0.1 * random.normal(size=(3, count)))
            factors = np.stack([0.1 * loss, 5 * loss, 80 * loss]) * (1 + 0.3 * together) * noise
            similarity = 1 / np.sqrt(len(tasks)) + 0.02 * random.normal(size=count)
            tables.append(
                pd.DataFrame(
                    {
                        "setting": config.setting,
                        "auxiliaries": config.auxiliaries_label,
                        "optimizer": config.optimizer,
                        "seed": seed,
                        "task": task,
                        "role": "target" if task == config.target else "auxiliary",
                        "step": step,
                        "epoch": np.arange(count, dtype=float),
                        "train_loss": loss,
                        "val_metric": metric.clip(0, 1),
                        "test_metric": metric.clip(0, 1),
                        "sharpness": factors[0] if measured else np.nan,
                        "fisher_trace": factors[1] if measured else np.nan,
                        "gradient_covariance": factors[2] if measured else np.nan,
                        "gradient_similarity": similarity.clip(-1, 1) if together else 1.0,
                        "seconds": step / 100,
                    },
                    columns=list(COLUMNS),
                )
            )
    return KINDS["training"].tables["trajectory"].tidied(pd.concat(tables))


def render(page: str) -> tuple[float, float]:
    """Seconds of the first rendering, and the median of later ones."""
    from streamlit.testing.v1 import AppTest

    root = Path(__file__).resolve().parents[1]
    app = AppTest.from_file(str(root / "app.py"), default_timeout=120)
    app.run()
    app.switch_page(f"pages/{page}.py")
    times = []
    for _ in range(8):
        started = time.perf_counter()
        app.run()
        times.append(time.perf_counter() - started)
        assert not app.exception
    return times[0], statistics.median(times[1:])


if __name__ == "__main__":
    main()
