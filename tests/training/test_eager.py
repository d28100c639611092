"""The base optimizers are PyTorch's, to the last bit, and import none of its compiler."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from mtl_core.training import eager


def moved(make: Any, **options: Any) -> list[torch.Tensor]:
    """Parameters after steps with gradients of every size, zero among them."""
    random = torch.Generator().manual_seed(0)
    shapes = ((7, 5), (5,), (2, 3, 3))
    parameters = [torch.randn(s, generator=random).requires_grad_() for s in shapes]
    base = make(parameters, lr=0.01, **options)
    for step in range(50):
        for parameter in parameters:
            gradient = torch.randn(parameter.shape, generator=random)
            parameter.grad = gradient * 10.0 ** (step % 7 - 3) * (step % 5 > 0)
        base.step()
    state = [base.state[one] for one in parameters]
    return [*parameters, *(value for one in state for value in one.values() if value is not None)]


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (eager.Adam, torch.optim.Adam, {"fused": True}),
        (eager.SGD, torch.optim.SGD, {}),
        (eager.SGD, torch.optim.SGD, {"momentum": 0.9}),
    ],
)
def test_every_step_is_pytorchs(ours: Any, theirs: Any, options: dict[str, Any]) -> None:
    found, expected = moved(ours, **options), moved(theirs, **options)
    assert len(found) == len(expected) >= 3
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


CODE = """
import sys
from mtl_core.config import RunConfig
from mtl_core.training import train

for base in ("adam", "sgd", "momentum"):
    config = RunConfig.from_preset(
        "digits", "quick", auxiliaries=("digits2",), epochs=1, samples=64, held_out=50, width=4,
        batch_size=16, base_optimizer=base, factors=(), seeds=(0,),
    )
    assert any(one.rows for one in train(config, device="cpu"))
print("torch" in sys.modules, "torch._dynamo" in sys.modules)
"""


def test_a_process_that_trains_imports_no_compiler(python: Callable[..., Any]) -> None:
    """By design: every process that trains would wait for it."""
    said, wrong = python(CODE).communicate(timeout=300)
    assert (said, wrong) == ("True False\n", "")
