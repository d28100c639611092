"""Training steps of multi-task optimizers: ours against torchjd.

    python benchmarks/optimizers.py [--device cpu|cuda] [--resnet] [--solve] [--repeats N]

Both sides take full training steps (forward, task gradients, weights, Adam) of one model on the
same batches, torchjd as its documentation has it: ``mtl_backward``, ``jac_to_grad``, an optimizer.
LeNet (width 16, 28×28 images, two tasks with batches of 64 of their own) and, with ``--resnet``, a
ResNet18 with group normalisation (32×32 images, twenty heads on one batch of 16). Eight replicas
are eight models one after the other for torchjd; ours are stacked on a GPU and go to a process per
core on a CPU. On a GPU ours are captured in a CUDA graph where a run's are. ``--solve``: weights
alone, of 64 stacked 20×20 Gramians against a loop. Prints ratios, torchjd's time over ours; the
seconds are for orientation only.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchjd import aggregation
from torchjd.autojac import jac_to_grad, mtl_backward

from mtl_core import optimizers
from mtl_core.networks.lenet import LeNet
from mtl_core.training.captured import Captured, graph
from mtl_core.training.gradients import combine
from mtl_core.training.network import Network
from mtl_core.training.pool import cores

METHODS = {
    "mgda": aggregation.MGDA,
    "pcgrad": aggregation.PCGrad,
    "cagrad": partial(aggregation.CAGrad, c=0.5),
    "nash_mtl": lambda tasks: aggregation.NashMTL(n_tasks=tasks),
}
Batches = tuple[list[Tensor] | Tensor, list[Tensor]]


def aggregator(name: str, tasks: int) -> aggregation.Aggregator:
    make = METHODS[name]
    return make(tasks) if name == "nash_mtl" else make()


def resnet() -> nn.Module:
    from torchvision.models import resnet18

    encoder = resnet18(norm_layer=partial(nn.GroupNorm, 8))
    encoder.fc = nn.Identity()
    encoder.features = 512
    return encoder


def batches(kind: str, tasks: int, replicas: int, device: torch.device) -> Batches:
    source = torch.Generator().manual_seed(0)
    shape = (1, 28, 28) if kind == "lenet" else (3, 32, 32)
    size = 64 if kind == "lenet" else 16
    made = [torch.randn(replicas, size, *shape, generator=source) for _ in range(tasks)]
    labels = [torch.randint(10, (replicas, size), generator=source) for _ in range(tasks)]
    inputs = [images.to(device) for images in made]
    return (inputs if kind == "lenet" else inputs[0]), [target.to(device) for target in labels]


class Ours:
    """Replicas in this process."""

    def __init__(self, kind: str, name: str, tasks: int, replicas: int, device: torch.device):
        self.tasks = [f"t{k}" for k in range(tasks)]
        build = partial(LeNet, 16) if kind == "lenet" else resnet
        classes = dict.fromkeys(self.tasks, 10)
        self.network = Network.built(build, classes, range(replicas), device)
        self.method = optimizers.create(name, num_tasks=tasks)
        on_gpu = device.type == "cuda"
        parameters = self.network.parameters.values()
        self.adam = torch.optim.Adam(parameters, lr=1e-3, fused=True, capturable=on_gpu)
        self.method.static = on_gpu
        captured = on_gpu and not self.method.on_host
        self.step = Captured(self._step, self._buffers, graph) if captured else self._step
        self.batches = batches(kind, tasks, replicas, device)
        self.generators = [torch.Generator().manual_seed(k) for k in range(replicas)]

    def _buffers(self) -> dict[str, Tensor]:
        found = {}
        for name, parameter in self.network.parameters.items():
            moments = self.adam.state[parameter]
            found |= {name: parameter.detach()} | {f"{key}/{name}": moments[key] for key in moments}
        return found

    def _step(self) -> None:
        inputs, targets = self.batches
        found = combine(
            self.network, self.method, self.tasks, inputs, targets,
            self.generators if self.method.random else None,
        )  # fmt: skip
        parameters = [*self.network.shared.values(), *self.network.heads.values()]
        for parameter, gradient in zip(parameters, [*found.shared, *found.heads], strict=True):
            parameter.grad = gradient.contiguous()
        self.adam.step()


class Theirs:
    """One model after the other."""

    def __init__(self, kind: str, name: str, tasks: int, replicas: int, device: torch.device):
        self.batches = batches(kind, tasks, replicas, device)
        self.models = []
        for _ in range(replicas):
            encoder = (LeNet(16) if kind == "lenet" else resnet()).to(device)
            heads = nn.ModuleList(nn.Linear(encoder.features, 10) for _ in range(tasks)).to(device)
            adam = torch.optim.Adam([*encoder.parameters(), *heads.parameters()], lr=1e-3)
            self.models.append((encoder, heads, adam, aggregator(name, tasks)))

    def step(self) -> None:
        inputs, targets = self.batches
        for replica, (encoder, heads, adam, aggregate) in enumerate(self.models):
            if isinstance(inputs, Tensor):
                shared = encoder(inputs[replica])
                features: list[Tensor] = [shared]
                outputs = [head(shared) for head in heads]
            else:
                features = [encoder(own[replica]) for own in inputs]
                outputs = [head(own) for head, own in zip(heads, features, strict=True)]
            losses = [
                cross_entropy(output, target[replica])
                for output, target in zip(outputs, targets, strict=True)
            ]
            adam.zero_grad()
            mtl_backward(losses, features=features)
            jac_to_grad(encoder.parameters(), aggregate)
            adam.step()


def seconds(step: Callable[[], None], steps: int, device: torch.device) -> float:
    """Of one step, after a first that is not counted; after some on a GPU, which capture it."""
    for _ in range(8 if device.type == "cuda" else 1):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / steps


def one_after_another(kind: str, name: str, tasks: int, replicas: int, steps: int) -> float:
    """Seconds of one step of all of these replicas, in a process with one thread."""
    torch.set_num_threads(1)
    each = [Ours(kind, name, tasks, 1, torch.device("cpu")) for _ in range(replicas)]

    def step() -> None:
        for one in each:
            one.step()

    return seconds(step, steps, torch.device("cpu"))


def side_by_side(kind: str, name: str, tasks: int, replicas: int, steps: int) -> float:
    """Seconds of one step of replicas that share this machine's cores."""
    from joblib import Parallel, delayed

    count = min(cores(), replicas)
    shares = [len(range(i, replicas, count)) for i in range(count)]
    found = Parallel(n_jobs=count, backend="loky")(
        delayed(one_after_another)(kind, name, tasks, share, steps) for share in shares
    )
    return max(found)


def compare(kind: str, tasks: int, device: torch.device, repeats: int) -> None:
    steps = 3 if kind == "resnet" and device.type == "cpu" else 30
    counts = (1,) if kind == "resnet" and device.type == "cpu" else (1, 8)
    for replicas in counts:
        for name in METHODS:
            ratios, spent = [], []
            for _ in range(repeats):
                theirs = seconds(Theirs(kind, name, tasks, replicas, device).step, steps, device)
                if device.type == "cpu" and replicas > 1:
                    ours = side_by_side(kind, name, tasks, replicas, steps)
                else:
                    ours = seconds(Ours(kind, name, tasks, replicas, device).step, steps, device)
                ratios.append(theirs / ours)
                spent.append(ours)
            print(
                f"{kind} K={tasks} {replicas} replica(s) {name:9} torchjd / ours "
                f"{statistics.median(ratios):6.2f}  ({1e3 * statistics.median(spent):.1f} ms)",
                flush=True,
            )


def solve(device: torch.device, repeats: int) -> None:
    source = torch.Generator().manual_seed(0)
    rows = torch.randn(64, 20, 50, generator=source)
    rows = rows.to(device)
    gramians = rows @ rows.mT
    losses = torch.ones(64, 20, device=device)
    for name in METHODS:
        method = optimizers.create(name, num_tasks=20)
        generator = torch.Generator().manual_seed(0)
        ours, theirs = [], []
        for _ in range(repeats):
            # Theirs is handed what it takes: Nash-MTL's class wants the Jacobian's rows.
            library = aggregator(name, 20)
            if name == "nash_mtl":
                loop = partial(_loop, library, rows)
            else:
                loop = partial(_loop, library.gramian_weighting, gramians)
            step = partial(method.weights, gramians, losses, generator)
            ours.append(seconds(step, 20, device))
            theirs.append(seconds(loop, 1, device))
        ratio = statistics.median(t / o for t, o in zip(theirs, ours, strict=True))
        print(
            f"weights of 64 Gramians 20×20 {name:9} torchjd loop / ours {ratio:7.1f}  "
            f"({1e3 * statistics.median(ours):.1f} ms)",
            flush=True,
        )


def _loop(weigh: Callable[[Tensor], Tensor], matrices: Tensor) -> None:
    for matrix in matrices:
        weigh(matrix)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--resnet", action="store_true")
    parser.add_argument("--solve", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")  # cvxpy's, on accuracy
    device = torch.device(options.device)
    if options.solve or not options.resnet:
        solve(device, options.repeats)
    if options.resnet:
        compare("resnet", 20, device, options.repeats)
    elif not options.solve:
        compare("lenet", 2, device, options.repeats)


if __name__ == "__main__":
    main()
