"""Factors: what is measured along a trajectory. One file per factor, listed here."""

__all__ = ["names"]


def names() -> list[str]:
    """The factors that a run can measure."""
    return []
