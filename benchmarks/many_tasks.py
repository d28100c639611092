"""A CIFAR-100 step of twenty tasks: ours against a plain loop of task losses.

    python benchmarks/many_tasks.py [--device cpu|cuda] [--width N] [--batch N] [--repeats N]

Both sides take full training steps (forward, backward, Adam, fp32) of a ResNet18 with BatchNorm on
the same twenty batches of 32×32 images, each task's normalised by its own statistics. The plain
loop is torchvision's blocks as an ``nn.Module``, a forward pass for each task, the sum of the
losses, one ``backward``, on as many threads as PyTorch takes; ours runs as a run does, one thread
on a CPU, all tasks at once and captured on a GPU. Prints the loop's time over ours, and on a GPU
the most memory either had.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mtl_core import optimizers
from mtl_core.networks.resnet import ResNet18
from mtl_core.training.captured import Captured, graph
from mtl_core.training.gradients import combine
from mtl_core.training.network import Network

TASKS = 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--width", type=int, default=None)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=7)
    asked = parser.parse_args()
    device = torch.device(asked.device)
    torch.backends.cudnn.allow_tf32 = False  # else convolutions of either side are not in fp32
    width = asked.width or (64 if asked.device == "cuda" else 16)
    source = torch.Generator().manual_seed(0)
    shape = (asked.batch, 3, 32, 32)
    inputs = [torch.randint(256, shape, dtype=torch.uint8, generator=source) for _ in range(TASKS)]
    targets = [torch.randint(5, (asked.batch,), generator=source) for _ in range(TASKS)]
    inputs, targets = ([one.to(device) for one in some] for some in (inputs, targets))

    threads = torch.get_num_threads()
    theirs, ours = plain(width, inputs, targets, device), stacked(width, inputs, targets, device)
    seconds: dict[str, list[float]] = {"loop": [], "ours": []}
    memory = {}
    warm_up = 8 if asked.device == "cuda" else 2  # ours is captured meanwhile
    for repeat in range(asked.repeats + warm_up):
        for name, step in (("loop", theirs), ("ours", ours)):
            torch.set_num_threads(1 if name == "ours" and asked.device == "cpu" else threads)
            if asked.device == "cuda":
                torch.cuda.synchronize()
                torch.cuda.reset_peak_memory_stats()
            started = time.perf_counter()
            step()
            if asked.device == "cuda":
                torch.cuda.synchronize()
                # A captured step is given its memory before it is timed.
                most = torch.cuda.max_memory_allocated() / 2**20
                memory[name] = max(most, memory.get(name, 0.0))
            if repeat >= warm_up:
                seconds[name].append(time.perf_counter() - started)
    loop, own = (statistics.median(seconds[name]) for name in ("loop", "ours"))
    print(
        f"{TASKS} tasks, ResNet18 width {width}, batches of {asked.batch}, {asked.device}: "
        f"{loop / own:.2f} x ({1e3 * loop:.0f} ms, ours {1e3 * own:.0f} ms)"
    )
    for name, most in memory.items():
        print(f"memory, {name}: {most:,.0f} MiB")


def plain(
    width: int, inputs: list[Tensor], targets: list[Tensor], device: torch.device
) -> Callable[[], None]:
    """The loop that a user would write."""
    encoder = ResNet18(width).to(device)
    heads = nn.ModuleList(nn.Linear(encoder.features, 5) for _ in range(TASKS)).to(device)
    _with_running_averages(encoder)
    adam = torch.optim.Adam([*encoder.parameters(), *heads.parameters()], lr=1e-3)

    def step() -> None:
        adam.zero_grad()
        losses = [
            cross_entropy(head(encoder(own)), target)
            for head, own, target in zip(heads, inputs, targets, strict=True)
        ]
        torch.stack(losses).sum().backward()
        adam.step()

    return step


def stacked(
    width: int, inputs: list[Tensor], targets: list[Tensor], device: torch.device
) -> Callable[[], None]:
    """One replica of ours."""
    tasks = [f"t{k}" for k in range(TASKS)]
    network = Network.built(partial(ResNet18, width), dict.fromkeys(tasks, 5), (0,), device)
    method = optimizers.create("umtg", num_tasks=TASKS)
    on_gpu = device.type == "cuda"
    adam = torch.optim.Adam(network.parameters.values(), lr=1e-3, fused=True, capturable=on_gpu)
    own = [one.unsqueeze(0) for one in inputs]
    labels = [one.unsqueeze(0) for one in targets]

    def step() -> None:
        found = combine(network, method, tasks, own, labels)
        parameters = [*network.shared.values(), *network.heads.values()]
        for parameter, gradient in zip(parameters, [*found.shared, *found.heads], strict=True):
            parameter.grad = gradient.contiguous()
        adam.step()

    def buffers() -> dict[str, Tensor]:
        found = {}
        for name, parameter in network.parameters.items():
            moments = adam.state[parameter]
            found |= {name: parameter.detach()} | {f"{key}/{name}": moments[key] for key in moments}
        return found

    return Captured(step, buffers, graph) if on_gpu else step


def _with_running_averages(module: nn.Module) -> None:
    """PyTorch's own BatchNorm in the place of ours."""
    for name, child in copy.copy(module._modules).items():
        if type(child).__name__ == "BatchNorm":
            setattr(module, name, nn.BatchNorm2d(len(child.weight)).to(child.weight.device))  # type: ignore[union-attr]
        elif child is not None:
            _with_running_averages(child)


if __name__ == "__main__":
    main()
