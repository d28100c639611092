"""What is brought in tests, and what is left of it."""

import io

import pytest

from mtl_core.errors import InputError
from mtl_core.runs.library import artifacts, exchange
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.exchange import Received

__all__ = ["Files", "left", "nothing", "receive", "refused"]

Files = dict[str, bytes]


def nothing() -> Answers:
    return Answers(None, {})


def receive(content: bytes | io.BytesIO, answers: Answers | None = None) -> list[Received]:
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    return exchange.receive_zip(file, "a.zip", answers or nothing())


def left() -> list[str]:
    """What there is beside the store: nothing half done."""
    root = artifacts.imported_dir()
    return sorted(path.name for path in root.iterdir()) if root.exists() else []


def refused(content: bytes | io.BytesIO) -> str:
    """What is said of a zip file that is not taken in, and harms nothing."""
    before = left()
    with pytest.raises(InputError) as caught:
        receive(content)
    message = str(caught.value)
    assert message.startswith("a.zip: ")
    assert len(message.splitlines()) == 1
    assert len(message) < 500
    assert left() == before, "what was here is here, and nothing else"
    return message
