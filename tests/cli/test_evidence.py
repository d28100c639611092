"""The command ``evidence``."""

from pathlib import Path

import pytest

from mtl_core.cli import main
from mtl_core.runs.library import artifacts
from mtl_core.views import evidence as views
from tests.cli.asking import complaint


@pytest.fixture(autouse=True)
def few(shipped_evidence, monkeypatch: pytest.MonkeyPatch) -> tuple:
    """Judged once; what is tested is what becomes of it."""
    rows = tuple(row for row in shipped_evidence if row.claim.key in ("help", "twice"))

    def judged(answers):
        assert answers.store is None, "only what ships counts"
        assert set(answers.shipped) == set(artifacts.scan()[0])
        return rows

    monkeypatch.setattr(views, "evidence", judged)
    return rows


def test_it_prints_a_table(few, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evidence"]) == 0
    assert capsys.readouterr().out == f"{views.text(few)}\n"


def test_it_writes_the_document(few, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "evidence.md"
    assert main(["evidence", "--write", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert out.read_text(encoding="utf-8") == views.markdown(few)


def test_a_folder_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(["evidence", "--write", str(tmp_path)], capsys)
    assert said == f"cannot write {tmp_path} (Is a directory)"


def test_damaged_artifacts_are_no_evidence(monkeypatch, capsys) -> None:
    monkeypatch.setattr(artifacts, "scan", lambda: ({}, ["toy: no manifest"]))
    said = complaint(["evidence"], capsys)
    assert said == "artifacts cannot be read: toy: no manifest"
