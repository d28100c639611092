"""Devices: which one trains, and what people call it."""

from mtl_core.errors import InputError, unknown

__all__ = ["DEVICES", "choose", "title"]

DEVICES = ("cpu", "cuda")


def choose(wanted: str | None = None) -> str:
    """The device to train on: the wanted one, or the best there is.

    Raises:
        InputError: when the wanted one is unknown or not there.
    """
    from mtl_core.training.train import best_device

    if wanted is None:
        return best_device()
    if wanted not in DEVICES:
        raise unknown("device", wanted, DEVICES)
    if wanted == "cuda" and best_device() != "cuda":
        raise InputError("device 'cuda' is not on this machine; choose cpu, or leave it out")
    return wanted


def title(device: str) -> str:
    """What people call a device of this machine."""
    if device == "cuda":
        import torch

        return str(torch.cuda.get_device_name())
    from mtl_core.training.pool import cores

    return f"CPU, {cores()} core{'s' if cores() > 1 else ''}"
