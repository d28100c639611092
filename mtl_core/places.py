"""Places: the folders that ship with the code, in a checkout or installed."""

from pathlib import Path

__all__ = ["shipped"]


def shipped(name: str) -> Path:
    """The folder ``cache``, ``lessons`` or ``plans``; beside the package, or installed in it."""
    package = Path(__file__).resolve().parent
    inside = package / "shipped" / name
    return inside if inside.is_dir() else package.parent / name
