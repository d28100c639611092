"""A slider that is answered while it is dragged; Streamlit's own are answered on release."""

from collections.abc import Callable, Sequence

from pages.parts.components import component, told

__all__ = ["slider"]

_CSS = """
label {
  display: grid; grid-template-columns: 1fr auto; gap: 4px 12px;
  color: var(--st-text-color); font: 14px var(--st-font);
}
output { color: var(--st-primary-color); font-variant-numeric: tabular-nums; }
input { grid-column: 1 / -1; width: 100%; margin: 0; height: 24px; cursor: grab;
  accent-color: var(--st-primary-color); }
input:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
"""


def slider(
    label: str,
    words: Sequence[str],
    place: int,
    *,
    key: str,
    on_slide: Callable[[int, bool], None],
) -> None:
    """The slider, at one of its places.

    Args:
        words: what each place means.
        place: where it is; the server's word counts as soon as no hand is on it.
        on_slide: called with a place and whether a hand still holds it, some ten times a second.
    """
    count = len(words)

    def slid() -> None:
        now = told(key, "slid")
        at, held = now.get("place"), now.get("held")
        if isinstance(at, int) and 0 <= at < count:
            on_slide(at, held is True)

    answered = told(key, "slid").get("number")
    data = {"label": label, "words": list(words), "place": place, "answered": answered}
    component("slider", _CSS)(key=key, data=data, on_slid_change=slid)
