"""Access: whose server it is, and what visitors may do there."""

from pathlib import Path

import pytest

from mtl_core.views.access import Access


@pytest.mark.parametrize("text", ["1", "true", " Yes ", "on"])
def test_shared_is_said_and_never_guessed(text: str) -> None:
    assert Access.of({"MTL_SHARED": text}).shared
    for other in ({}, {"MTL_SHARED": ""}, {"MTL_SHARED": "0"}, {"MTL_SHARED": "no"}):
        assert not Access.of(other).shared


def test_uploads_are_for_oneself_unless_said() -> None:
    assert Access.of({}).uploads
    assert not Access.of({"MTL_SHARED": "1"}).uploads
    assert Access.of({"MTL_SHARED": "1", "MTL_UPLOADS": "1"}).uploads
    assert not Access.of({"MTL_UPLOADS": "0"}).uploads


def test_a_password_is_for_others() -> None:
    assert Access.of({"MTL_PASSWORD": "x"}).password == ""
    assert Access.of({"MTL_PASSWORD": "x", "MTL_SHARED": "1"}).password == "x"


def test_who_started_a_run_may_end_it() -> None:
    own, open_to_all = Access.of({}), Access.of({"MTL_SHARED": "1"})
    for starter in ("", "a", "b"):
        assert own.may_end(starter, "a")
    assert open_to_all.may_end("a", "a")
    assert not open_to_all.may_end("b", "a")
    assert not open_to_all.may_end("", "a")
    assert not open_to_all.may_end("", ""), "nobody is no one"


def test_strangers_are_told_no_folder_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "my runs" / "runs.db"
    monkeypatch.setenv("MTL_STORE", str(store))
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "data"))
    own, strangers = Access.of({}), Access.of({"MTL_SHARED": "1"})
    line = (
        f"store {store} cannot be used (disk I/O error); make {tmp_path / 'data'} writable, look "
        "at '/etc/mtl/notes.txt', at https://example.org/a/b and at /what_if?a=b/c/d"
    )
    assert own.told(line) == line
    assert strangers.told(line) == (
        "store runs.db cannot be used (disk I/O error); make a folder of this server writable, "
        "look at 'notes.txt', at https://example.org/a/b and at /what_if?a=b/c/d"
    )
    assert strangers.told("digits1 / digits2 and ½ or 3/4/5") == "digits1 / digits2 and ½ or 3/4/5"
