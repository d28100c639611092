"""What if with twelve curves on it: how long the server takes to render it again.

    python benchmarks/page.py

The curves are the shipped digits runs, stored again under other learning rates: three seeds and a
checkpoint per epoch each. Streamlit's own AppTest runs the page, so what is timed is the script
with its queries, tables, charts and their serialisation, for each view below the hero, without
network and browser.
"""

import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from mtl_core import RunConfig
from mtl_core.runs import Store
from mtl_core.runs.kinds import Piece
from mtl_core.runs.library.artifacts import scan
from mtl_core.views.what_if import LOOKS

CURVES = 12


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MTL_STORE"] = str(Path(folder) / "runs.db")
        store = Store()
        pins = fill(store, CURVES - 2)
        render(pins, LOOKS[0])
        time.sleep(20)  # the page has started a worker, whose processes warm up on the same cores
        for look in LOOKS:
            seconds = render(pins, look)
            print(f"{CURVES} curves, {look}: {seconds:.2f} s median of 7 renderings (budget 0.5 s)")
        stop_worker(store)


def fill(store: Store, count: int) -> list[str]:
    """Ids of ``count`` finished experiments."""
    config = RunConfig.from_preset("digits", "quick", auxiliaries=("digits2",))
    artifact = scan()[0][config.id]
    table = artifact.table("trajectory")
    pins = []
    for number in range(count):
        other = replace(config, lr=1e-3 + 1e-4 * number)
        store.submit(other)
        for record in store.claim("benchmark"):
            own = table[table["seed"] == record.seed].astype(object)
            columns = {"": len(own), **own.where(own.notna(), None).to_dict("list")}
            piece = Piece(record.seed, record.steps, {"trajectory": columns})
            store.save(record.key, "benchmark", [piece])
            store.finish(record.key, "benchmark", "done")
        pins.append(other.id)
    return pins


def render(pins: list[str], look: str) -> float:
    """Median seconds."""
    from streamlit.testing.v1 import AppTest

    root = Path(__file__).resolve().parents[1]
    app = AppTest.from_file(str(root / "app.py"), default_timeout=60)
    app.run()
    app.switch_page("pages/what_if.py")
    query = {"setting": "digits", "aux": "digits2", "pins": " ".join(pins), "look": look}
    app.query_params.update(query)
    app.run()
    assert not app.exception
    times = []
    for _ in range(7):
        started = time.perf_counter()
        app.run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def stop_worker(store: Store) -> None:
    worker = store.worker()
    if worker:
        os.kill(int(worker["pid"]), 15)


if __name__ == "__main__":
    main()
