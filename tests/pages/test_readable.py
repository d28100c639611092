"""Charts that are drawn as pixels: the words in them have the page's own colours."""

import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from pages.parts import readable

CONFIG = Path(__file__).parents[2] / ".streamlit/config.toml"


@pytest.mark.parametrize("theme", ["light", "dark", None])
def test_words_have_the_colour_of_the_pages_text(
    theme: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = SimpleNamespace(theme=SimpleNamespace(type=theme))
    monkeypatch.setattr(readable, "st", SimpleNamespace(context=context))
    wanted = tomllib.loads(CONFIG.read_text())["theme"][theme or "light"]["textColor"]
    given = {"mark": "line", "config": {"axis": {"aria": False}}, "usermeta": {"plot": 420}}
    drawn = readable.as_pixels(given)
    assert drawn["config"]["axis"] == {"aria": False, "labelColor": wanted, "titleColor": wanted}
    assert drawn["config"]["legend"] == {"labelColor": wanted, "titleColor": wanted}
    assert drawn["usermeta"] == {"plot": 420, "embedOptions": {"renderer": "canvas"}}
    assert drawn["mark"] == "line"
    assert given["config"] == {"axis": {"aria": False}}, "what is kept for others stays"
