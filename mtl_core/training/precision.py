"""Precision: what products are rounded to.

``fp32`` keeps all 24 bits. With ``tf32`` a GPU that can rounds the factors of float32 products to
11; any other device computes as with fp32. With ``bf16`` the network of a step is computed in
bfloat16, of 8 bits, by PyTorch's autocast; parameters, losses, gradients of parameters, and all
that is done with them stay float32.

That is a matter of steps alone: whatever is measured is measured in full precision.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from mtl_core.config import Precision

__all__ = ["network", "products"]


def network(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Within it, the network of a step is computed."""
    if precision != "bf16":
        return nullcontext()
    # What was cast for one step must not be found by the next, which may be a recorded one.
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


@contextmanager
def products(precision: Precision, device: torch.device) -> Iterator[None]:
    """Within it, a GPU multiplies at this precision. PyTorch's own default for convolutions, though
    not for matrices, is TF32."""
    if device.type != "cuda":
        yield
        return
    allowed = precision == "tf32"
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
