"""Provenance: what decides a run's numbers beside its experiment, taken when the run starts."""

import platform
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mtl_core.training import devices

__all__ = ["changes", "provenance", "versions"]


def provenance(device: str, data: str, protocol: Mapping[str, str]) -> dict[str, Any]:
    """The provenance of a run that begins now.

    Args:
        data: the fingerprint of its data.
        protocol: how each of its quantities is measured.
    """
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": "cpu" if device == "cpu" else devices.title(device),
        "versions": versions(),
        "data_fingerprint": data,
        "factors": dict(protocol),
    }


def versions() -> dict[str, str]:
    """The versions of what computes a run's numbers."""
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "numpy")},
    }


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two provenances of a run, in words: data, device and versions."""
    pairs = {
        "data": (before.get("data_fingerprint"), now.get("data_fingerprint")),
        "device": (before.get("device"), now.get("device")),
    }
    old, new = before.get("versions") or {}, now.get("versions") or {}
    pairs |= {name: (old.get(name), new.get(name)) for name in sorted({*old, *new})}
    return [
        f"{name} {was} before, {is_now} now"
        for name, (was, is_now) in pairs.items()
        if was is not None and was != is_now
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
