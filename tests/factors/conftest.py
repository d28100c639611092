"""A device, and batches computed side by side."""

from collections.abc import Callable

import pytest
import torch

from mtl_core.factors import vectors

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
    ),
]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    """The CPU, and a GPU where there is one."""
    return str(request.param)


@pytest.fixture(autouse=True)
def all_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU's convolutions have all digits of a float."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how many numbers batches may have that are computed side by side."""

    def set_to(numbers: int) -> None:
        monkeypatch.setattr(vectors, "AT_ONCE", {"cpu": numbers, "cuda": numbers})

    return set_to
