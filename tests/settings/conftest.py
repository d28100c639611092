"""What the settings' tests are run on."""

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import unpacked
from tests.settings.layouts import write_encoder, write_glue


@pytest.fixture(scope="session")
def glue_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny RoBERTa."""
    pytest.importorskip("transformers")
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def glue_data(tmp_path: Path, glue_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small tables of all eight tasks and an encoder, where the app looks for them."""
    folder = write_glue(tmp_path)
    shutil.copytree(glue_encoder, folder / "encoder")
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    return folder


@pytest.fixture(scope="session")
def real_tables(request: pytest.FixtureRequest) -> Path:
    """A folder with tables of GLUE as they are distributed, of some tasks at least."""
    named = os.environ.get("MTL_DATA_DIR")
    if named and (Path(named) / "glue" / "CoLA").is_dir():
        return Path(named) / "glue"
    return unpacked(request.config, "glue") / "glue"


@pytest.fixture(scope="session")
def real_folder(
    real_tables: Path, glue_encoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Real tables with the tiny encoder; one place, so that a table is tokenised once."""
    folder = tmp_path_factory.mktemp("real") / "glue"
    folder.mkdir()
    for table in real_tables.iterdir():
        if table.is_dir() and table.name != "encoder":
            (folder / table.name).symlink_to(table)
    (folder / "encoder").symlink_to(glue_encoder)
    return folder


@pytest.fixture
def real_glue(real_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, where the app looks for them."""
    monkeypatch.setenv("MTL_DATA_DIR", str(real_folder.parent))
    return real_folder
