"""All that is known on this machine: what ships, what was imported, and the store."""

from mtl_core.runs.library import artifacts, exchange
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.queue.store import Store

__all__ = ["answers_here"]


def answers_here() -> Answers:
    """Answers from everything that is here. Raises StoreError when the store cannot be used."""
    return Answers(Store(), artifacts.scan(read=artifacts.glance)[0], exchange.imported()[0])
