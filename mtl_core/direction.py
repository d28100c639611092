"""Which way a measure is better. A task says it of its metric; a factor of itself."""

from typing import Literal

__all__ = ["Direction"]

Direction = Literal["higher", "lower"]
