"""Uploads: what was taken in is let go of."""

from types import SimpleNamespace

import pytest
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from pages.parts import uploads


def test_what_was_taken_in_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = MemoryUploadedFileManager("/upload")
    for name in ("taken", "kept"):
        manager.add_file("me", UploadedFileRec(name, f"{name}.csv", "text/csv", b"x" * 10))
    context = SimpleNamespace(session_id="me", uploaded_file_mgr=manager)
    monkeypatch.setattr(uploads, "get_script_run_ctx", lambda: context)
    uploads.release([SimpleNamespace(file_id="taken")])
    assert [file.file_id for file in manager.get_files("me", ["taken", "kept"])] == ["kept"]
    uploads.release([SimpleNamespace(file_id="taken")])
    monkeypatch.setattr(uploads, "get_script_run_ctx", lambda: None)
    uploads.release([SimpleNamespace(file_id="kept")])
    assert len(manager.get_files("me", ["kept"])) == 1, "without a session there is nothing to do"
