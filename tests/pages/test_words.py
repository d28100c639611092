"""What links, files and other machines say is shown as it is: a browser fetches nothing of it."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pages.parts.words import escaped

PICTURE = "![x](http://example.org/a.png)"
UNESCAPED = re.compile(r"(?<!\\)!\[|!(?<!\\)\[")
NOT_MARKDOWN = {"text_input", "text_area", "arrow_data_frame", "code", "vega_lite_chart"}

PARAMETERS = {
    "what_if": "setting target aux preset optimizer seeds pins per_seed look x against lr samples "
    "base_optimizer auxiliary_factors mgda.normalization",
    "which_auxiliary": "setting target look preset candidates most margin grow seeds clustered",
    "pareto_front": "problem preset method focus seeds pins look seed pick axes zoom scalarization "
    "layout preferences optimizer lr samples decay.halving problem.file problem.targets",
    "gradient_playground": "angles lengths losses third methods scale view seed",
    "generalization_gap": "setting budget task runs against",
    "factors": "setting budget task sets aggregate rows",
    "smtos": "setting target budget aux optimizer",
    "conflict": "setting budget targets optimizers",
    "lessons": "lesson step guesses shown class",
    "library": "setting target optimizer source state text task run",
}


def shown(app: Any) -> Iterator[tuple[str, str]]:
    """Kind and text of everything that a page draws, but for what is no Markdown."""
    nodes = [app.main, app.sidebar]
    while nodes:
        node = nodes.pop()
        nodes += getattr(node, "children", {}).values()
        proto = getattr(node, "proto", None)
        if proto is None or node.type in NOT_MARKDOWN:
            continue
        for field, value in proto.ListFields():
            texts = [value] if isinstance(value, str) else value
            if field.type == field.TYPE_STRING:
                yield from ((f"{node.type}.{field.name}", text) for text in texts)


@pytest.mark.parametrize("page", PARAMETERS)
def test_no_text_of_a_link_is_a_picture(open_page: Callable[..., Any], page: str) -> None:
    """One parameter after the other: what the page computes is the same and is computed once."""
    pictures = {}
    for name in (*PARAMETERS[page].split(), PICTURE, f"x {PICTURE}"):
        beside = {"problem": "csv"} if name.startswith("problem.") else {}
        if name == "problem.targets":
            beside["problem.file"] = "/no/such"
        app = open_page(page, **{name: PICTURE, **beside})
        assert not app.exception
        found = list(shown(app))
        assert len(found) > 5, "there is something to look at"
        if drawn := [one for one in found if UNESCAPED.search(one[1])]:
            pictures[name] = drawn
    assert pictures == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PICTURE, r"!\[x\](`http://example.org/a.png`)"),
        ("see https://a.org/b_c?d=1.", "see `https://a.org/b_c?d=1`."),
        ("www.a.org or x.y@a.org, *b*", r"`www.a.org` or `x.y@a.org`, \*b\*"),
        ("[a](b)", r"\[a\](b)"),
        ("<img src=x>", r"\<img src=x\>"),
        ("a `b` *c* $d$ ~e~ |", r"a \`b\` \*c\* \$d\$ \~e\~ \|"),
        ("_a_ noisy_digits __init__", r"\_a\_ noisy_digits \_\_init\_\_"),
        (":red[a] :material/x: at 12:30", r"\:red\[a\] \:material/x: at 12:30"),
        ("&lt; & R&D", r"\&lt; & R\&D"),
        ("# a\n- b\n+ c\n= d\n1. e\n 2) f", "\\# a\n\\- b\n\\+ c\n\\= d\n1\\. e\n2\\) f"),
        ("C:\\data\\x", r"C:\\data\\x"),
        ("in the URL, lr: 1.5 - 2, not -3", "in the URL, lr: 1.5 - 2, not -3"),
    ],
)
def test_marks_are_escaped_and_plain_words_stay(text: str, expected: str) -> None:
    assert escaped(text) == expected
