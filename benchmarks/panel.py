"""Nine replicas on a CPU: ours against the plain PyTorch loop that a user would write.

    python benchmarks/panel.py [--setting digits|fashion] [--repeats N]

A panel is single-task, + helpful, + noisy, three seeds each, at the quick preset. Both sides train
on the same data for the same steps and evaluate training loss, validation and test accuracy of
every task at the same checkpoints, without factors (those are benchmarks/factors.py); both have the
data in memory before the clock starts, and ours has a warm pool, as the app's worker does. Ours is
one question, whose nine runs a store has and the worker's lockstep carries out: a process per core,
and everything is written as in the app. The plain loop has PyTorch's default threads. Prints the
ratio of times and how busy our processes were until the last slice began; the absolute seconds are
for orientation only.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

from mtl_core import RunConfig, settings
from mtl_core.runs import Store
from mtl_core.runs.queue.lockstep import Lockstep
from mtl_core.runs.queue.slices import Processes
from mtl_core.training import checkpoint_steps
from mtl_core.training.pool import ReplicaPool


def panel(setting: str) -> list[RunConfig]:
    """STL and each other task as the only auxiliary."""
    base = RunConfig.from_preset(setting, "quick", factors=())
    others = [t.name for t in settings.get(setting).tasks if t.name != base.target]
    return [base, *(replace(base, auxiliaries=(other,)) for other in others)]


class Watched:
    """Processes, and when each was at work."""

    def __init__(self, pool: ReplicaPool) -> None:
        self._processes = Processes(pool)
        self._count = pool.processes
        self._began: dict = {}
        self.spans: list[tuple[float, float]] = []
        self.stacks = self._processes.stacks

    @property
    def free(self) -> bool:
        return self._processes.free

    def begin(self, name, part) -> None:
        self._began[name] = time.perf_counter()
        self._processes.begin(name, part)

    def ended(self, seconds: float) -> list:
        found = self._processes.ended(seconds)
        now = time.perf_counter()
        self.spans += [(self._began.pop(name), now) for name, _ in found]
        return found

    @property
    def busy(self) -> float:
        """The share of the processes' time that slices took, until the last slice began."""
        first, last = min(a for a, _ in self.spans), max(a for a, _ in self.spans)
        worked = sum(min(b, last) - a for a, b in self.spans)
        return worked / (self._count * (last - first))


def ours(configs: list[RunConfig], pool: ReplicaPool) -> tuple[float, float]:
    """Seconds of the whole panel as one question, in a store of its own; and how busy it kept."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "runs.db")
        watched = Watched(pool)
        lockstep = Lockstep(store, "benchmark", "cpu", watched)
        started = time.perf_counter()
        store.submit(*configs)
        with store.held(), open(os.devnull, "w") as log, contextlib.redirect_stdout(log):
            lockstep.add(store.claim("benchmark"))
            while lockstep.going:
                lockstep.turn({}, 0.1)
        seconds = time.perf_counter() - started
        assert {record.state for record in store.runs()} == {"done"}
    return seconds, watched.busy


def plain(configs: list[RunConfig]) -> float:
    """Seconds of one seed after the other, one config after the other."""
    started = time.perf_counter()
    for config in configs:
        for seed in config.seeds:
            plain_run(config, seed)
    return time.perf_counter() - started


class PlainNetwork(nn.Module):
    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        setting = settings.get(config.setting)
        self.encoder = setting.encoder(config.width)
        self.heads = nn.ModuleDict(
            {t: nn.Linear(self.encoder.features, setting.task(t).classes) for t in config.tasks}
        )

    def forward(self, task: str, inputs: torch.Tensor) -> torch.Tensor:
        return self.heads[task](self.encoder(inputs))


def plain_run(
    config: RunConfig, seed: int, data: dict | None = None, device: str = "cpu"
) -> list[dict]:
    """The loop of a tutorial: shuffle, a loss per task, backward, step; no DataLoader.

    ``data`` is ``tensors(config)``, on the device.
    """
    torch.manual_seed(seed)
    data = tensors(config) if data is None else data
    network = PlainNetwork(config).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.lr)
    due, rows = set(checkpoint_steps(config)), [plain_evaluate(network, data)]
    size, batch = config.train_size, config.batch_size
    step = 0
    while step < config.steps:
        orders = {task: torch.randperm(size, device=device) for task in data}
        for start in range(0, size, batch):
            network.train()
            losses = []
            for task, (train_split, _, _) in data.items():
                index = orders[task][start : start + batch]
                inputs, targets = train_split.tensors
                losses.append(cross_entropy(network(task, inputs[index]), targets[index]))
            optimizer.zero_grad()
            sum(losses).backward()
            optimizer.step()
            step += 1
            if step in due:
                rows.append(plain_evaluate(network, data))
            if step == config.steps:
                break
    return rows


@torch.no_grad()
def plain_evaluate(network: PlainNetwork, data: dict) -> dict:
    network.eval()
    row = {}
    for task, splits in data.items():
        for name, split in zip(("train", "val", "test"), splits, strict=True):
            loss = correct = 0.0
            for inputs, targets in zip(*(t.split(500) for t in split.tensors), strict=True):
                logits = network(task, inputs)
                loss += cross_entropy(logits, targets, reduction="sum").item()
                correct += (logits.argmax(dim=1) == targets).sum().item()
            row[task, name] = (loss / len(split), correct / len(split))
    return row


_TENSORS: dict = {}


def tensors(config: RunConfig) -> dict:
    """Task to its three TensorDatasets, as many examples as the config uses."""
    if config not in _TENSORS:
        loaded = settings.get(config.setting).load(config.tasks)
        _TENSORS[config] = {
            task: tuple(
                TensorDataset(torch.from_numpy(part.inputs), torch.from_numpy(part.targets))
                for part in (
                    splits.train.first(config.samples),
                    splits.val.first(config.held_out),
                    splits.test.first(config.held_out),
                )
            )
            for task, splits in loaded.items()
        }
    return _TENSORS[config]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--setting", nargs="*", default=["digits", "fashion"])
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    with ReplicaPool() as pool:
        print(f"9 replicas, {pool.processes} processes against {torch.get_num_threads()} threads")
        for setting in options.setting:
            configs = panel(setting)
            for config in configs:
                tensors(config)
            # Every process loads its data and warms its kernels.
            short = [RunConfig.from_dict({**c.to_dict(), "epochs": 1}) for c in configs]
            ours(short, pool)
            plain(short[:1])
            ratios = []
            for _ in range(options.repeats):
                (a, busy), b = ours(configs, pool), plain(configs)
                ratios.append(a / b)
                print(
                    f"{setting:8} ours {a:6.1f} s, {busy:.0%} busy   plain loop {b:6.1f} s   "
                    f"ratio {a / b:.2f}"
                )
            print(f"{setting:8} median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
