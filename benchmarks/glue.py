"""Batches of texts cut to their own longest, against batches padded to the longest of all.

    python benchmarks/glue.py [--tasks stsb mrpc] [--steps N]

Both sides train and measure one replica on GLUE's tables with the encoder that is there, on one
thread. Uncut means what a table of tokens gives as it is: every text as long as the longest of its
tasks, and chunks of 500 in evaluation. Prints how many times more of the processor that takes.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch

from mtl_core import RunConfig, settings
from mtl_core.training import padding
from mtl_core.training.replicas import Replicas

SEEDS = (0,)
SAMPLES = 256  # training examples that are evaluated; of those held out, a quarter


@contextmanager
def uncut() -> Iterator[None]:
    """Without knowing what is padding."""
    known = padding.lengths
    padding.lengths = lambda encoder, inputs: None
    try:
        yield
    finally:
        padding.lengths = known


def config(tasks: list[str]) -> RunConfig:
    return RunConfig.from_preset(
        "glue",
        "standard",
        target=tasks[0],
        auxiliaries=tuple(tasks[1:]),
        seeds=SEEDS,
        samples=SAMPLES,
        held_out=SAMPLES // 4,
        factor_examples=64,
        similarity_batches=2,
    )


def spent(do: Callable[[], object]) -> float:
    """Seconds of the processor; all is computed in this process, by one thread."""
    started = time.process_time()
    do()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=["stsb", "mrpc"])
    parser.add_argument("--steps", type=int, default=4)
    options = parser.parse_args()
    state = settings.get("glue").data_state()
    if state.state != "found":
        print(f"not measured: {state.message}")
        return
    torch.set_num_threads(1)
    asked = config(options.tasks)
    ours = Replicas(asked, SEEDS, torch.device("cpu"))
    with uncut():
        padded = Replicas(asked, SEEDS, torch.device("cpu"))
    print(f"{' + '.join(options.tasks)}, batches of {asked.batch_size}, {state.message}")
    for name, times, do in (
        ("a training step", options.steps, lambda one: one.train_step()),
        ("an evaluation", 1, lambda one: one._evaluate()),
        ("a measurement of the factors", 1, lambda one: one._meter.measure(options.steps)),
    ):
        cut = whole = 0.0
        for _ in range(times):
            cut += spent(partial(do, ours)) / times
            with uncut():
                whole += spent(partial(do, padded)) / times
        print(f"  {name:29} {cut:6.2f} s, uncut {whole:6.2f} s, {whole / cut:.1f} x faster")


if __name__ == "__main__":
    main()
