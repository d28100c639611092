"""Pages without a browser: Streamlit's AppTest, a store of their own, no worker."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from mtl_core import RunConfig, settings
from mtl_core.runs import Store
from mtl_core.runs.library import artifacts
from mtl_core.settings import Task
from mtl_core.trajectory import Row
from tests import stored
from tests.rows import row_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True, scope="session")
def components_known() -> Iterator[None]:
    """Which packages bring components is looked up once, as a server does, not for each AppTest.

    Reading what all installed packages say of themselves takes longer than most pages.
    """
    with pytest.MonkeyPatch.context() as patch:
        found = cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", found)
        yield


@pytest.fixture
def store_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "runs.db"
    monkeypatch.setenv("MTL_STORE", str(path))
    return path


@pytest.fixture
def store(store_path: Path) -> Store:
    return Store(store_path)


@pytest.fixture
def open_page(
    store_path: Path, monkeypatch: pytest.MonkeyPatch, shipped_artifacts: dict[str, Any]
) -> Callable[..., AppTest]:
    """Opens a page by its address with query parameters, as a link does.

    No worker is started, so runs stay queued.
    """
    monkeypatch.setattr("mtl_core.runs.queue.launch.tend", lambda store: None)
    st.cache_resource.clear()
    st.cache_data.clear()

    def open_(page: str, **query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=180)
        if page != "overview":
            app.switch_page(f"pages/{page}.py")
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception
        return app

    return open_


@pytest.fixture
def finish(store: Store) -> Callable[..., RunConfig]:
    """Puts a finished run into the store: losses fall by three decades in ten checkpoints.

    ``gain`` is what its test metric has more after the untrained network, ``factor`` what its
    factors are multiplied by, ``similarity`` its gradient similarity. Seeds lie a little apart.
    """

    def put(
        config: RunConfig,
        *,
        gain: float = 0.0,
        factor: float = 1.0,
        similarity: float = 0.5,
    ) -> RunConfig:
        rows = [
            _row(config, seed, task, place, gain, factor, similarity)
            for place in range(11)
            for seed in config.seeds
            for task in config.tasks
        ]
        return stored.put(store, config, stored.pieces_of(config, rows))

    return put


def _row(
    config: RunConfig,
    seed: int,
    task: str,
    place: int,
    gain: float,
    factor: float,
    similarity: float,
) -> Row:
    step, loss = place * config.steps // 10, 2 * 10 ** (-0.3 * place)
    # Seeds gain more or less, as they do: equal differences would have no spread to go by.
    gain *= 1 + 0.02 * (seed - 1)
    metric = 0.8 - 0.1 * loss + gain * (place > 0) + 0.001 * seed
    measured = task == config.target or config.auxiliary_factors
    value = factor * loss * (1 + 0.001 * seed) if measured else None
    return row_of(
        config,
        seed,
        task,
        step,
        train_loss=loss,
        val_metric=metric,
        test_metric=metric,
        sharpness=value,
        fisher_trace=value,
        gradient_covariance=value,
        gradient_similarity=similarity + 0.001 * seed if config.auxiliaries else 1.0,
    )


@pytest.fixture
def nothing_ships(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No runs: artifacts come and go, and what is tested is in the store."""
    published = artifacts.cache_dir() / "published"
    shutil.copytree(published, tmp_path / "cache" / "published")
    monkeypatch.setattr("mtl_core.runs.library.artifacts.cache_dir", lambda: tmp_path / "cache")


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunConfig]:
    """Configs of a setting of four tasks whose names are in the paper's Table 1, but for one."""
    digits = settings.get("digits")
    names = ("fish", "non-insect_invertebrates", "large_natural_outdoor_scenes", "trees")
    tasks = tuple(Task(name, name, 10, 250, 150, 498) for name in names)
    made = replace(digits, name="cifar100", title="Four", tasks=tasks, default_target="fish")
    monkeypatch.setitem(settings._SETTINGS, "cifar100", made)

    def config(target: str, *others: str, **changes: Any) -> RunConfig:
        return RunConfig.from_preset(
            "cifar100", "quick", target=target, auxiliaries=others, **changes
        )

    return config
