"""No test of the command line touches the user's data."""

from pathlib import Path
from random import Random

import pytest


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A user's table of 100 rows with targets y and z."""
    path = tmp_path / "my table.csv"
    random = Random(0)
    rows = [[random.gauss(0, 1) for _ in range(3)] for _ in range(100)]
    lines = [f"{a},{b},{c},{a + b * c},{a - b}" for a, b, c in rows]
    path.write_text("\n".join(["a,b,c,y,z", *lines]))
    return path
