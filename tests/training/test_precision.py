"""Precision: steps may be rounded, and nothing that is measured ever is."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from mtl_core import RunConfig
from mtl_core.config import PRECISIONS
from mtl_core.training.precision import products
from mtl_core.training.replicas import Replicas, advance
from tests.training.host import watched

Digits = Callable[..., RunConfig]
CPU = torch.device("cpu")


def asked(digits: Digits, precision: str, name: str = "umtg") -> RunConfig:
    return digits("digits2", optimizer=name, precision=precision, base_optimizer="sgd")


@pytest.mark.parametrize("name", ["umtg", "mgda", "gradnorm", "graddrop"])
@pytest.mark.parametrize("seeds", [(0,), (0, 3)])
def test_gradients_of_a_step_are_near_and_all_else_is_float32(
    digits: Digits, name: str, seeds: tuple[int, ...]
) -> None:
    """bfloat16 rounds by up to 2^-8, some times over; GradDrop draws signs by what comes out."""
    found = []
    for precision in ("fp32", "bf16"):
        replicas = Replicas(asked(digits, precision, name), seeds, CPU)
        replicas.train_step()
        parameters = replicas._network.parameters.values()
        assert all(p.dtype == torch.float32 for p in parameters)
        found.append(torch.cat([p.grad.flatten() for p in parameters]))  # type: ignore[union-attr]
    full, half = found
    assert half.dtype == torch.float32
    off = float((half - full).norm() / full.norm())
    assert 1e-4 < off < (0.5 if name == "graddrop" else 0.05)


def test_a_stack_is_its_replicas(digits: Digits) -> None:
    config = asked(digits, "bf16")
    together = Replicas(config, (0, 3), CPU)
    together.train_step()
    for place, seed in enumerate((0, 3)):
        alone = Replicas(config, (seed,), CPU)
        alone.train_step()
        for name, value in alone._network.parameters.items():
            torch.testing.assert_close(
                together._network.parameters[name][place], value[0], rtol=1e-2, atol=1e-3
            )


def test_what_is_measured_is_not_rounded(digits: Digits) -> None:
    """The same parameters, measured by runs of all precisions."""
    state = advance(asked(digits, "bf16"), (0,), None, slice_seconds=9)[-1].state
    assert state is not None
    found = []
    for precision in PRECISIONS:
        replicas = Replicas(asked(digits, precision), (0,), CPU)
        replicas.restore(state)
        values = replicas._meter.measure(replicas.step).values
        found.append((values, replicas._evaluate()))
    assert found[0] == found[1] == found[2]


def test_a_cpu_knows_no_tf32(digits: Digits) -> None:
    states = [advance(asked(digits, one), (0,), None)[-1].state for one in ("fp32", "tf32")]
    for name, value in states[0].items():  # type: ignore[union-attr]
        if name != "seconds":
            np.testing.assert_array_equal(value, states[1][name])  # type: ignore[index]


def test_nothing_in_a_rounded_step_waits_for_the_host(digits: Digits) -> None:
    replicas = Replicas(asked(digits, "bf16", "pcgrad"), (0, 3), CPU, capture=lambda step: step)
    replicas.train_step()
    replicas._stepper.batches(1)
    with watched() as seen:
        replicas._stepper._carry_out()
    assert seen == []


def test_a_gpu_rounds_products_only_where_it_is_told_to() -> None:
    """The switches are there without a GPU, and are left as they were."""

    def switches() -> tuple[bool, bool]:
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    before, cuda = switches(), torch.device("cuda")
    with products("fp32", cuda):
        assert switches() == (False, False)
        with products("tf32", cuda):
            assert switches() == (True, True)
        assert switches() == (False, False)
        with products("bf16", cuda):
            assert switches() == (False, False)
        with products("tf32", CPU):
            assert switches() == (False, False)
    assert switches() == before
