"""Phrases: how pages, commands and tables word counts, lists and factors, whatever shows them."""

import re
from collections.abc import Sequence

from mtl_core import factors

__all__ = [
    "brief",
    "capitalised",
    "counted",
    "escaped",
    "family",
    "listed",
    "number",
    "plain",
    "title",
]

_MARKS = re.compile(
    r"""
    [\\`*\[\]<>$~|]                        # code, emphasis, links and pictures, tags, formulas, …
    | (?<![^\W_])_ | _(?![^\W_])           # emphasis; an underscore within a name is none
    | :(?=[A-Za-z:])                       # :red[…]
    | &(?=[\#A-Za-z])                      # &lt;
    | (?:(?<=\n)|\A)[\#+=-]                # headings, rules and lists begin a line
    """,
    re.VERBOSE,
)
_NUMBERED = re.compile(r"^(\d{1,9})(?=[.)](?:\s|$))", re.MULTILINE)
_EMPHASIS = re.compile(r"(?<!\\)\*{1,2}")
_ADDRESS = re.compile(
    r"((?:https?|ftp)://[^\s`]*[^\s`.,;:!?'\")\]]|www\.[^\s`]*[^\s`.,;:!?'\")\]]"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+)",
    re.IGNORECASE,
)
_CODE = re.compile(rf"`{_ADDRESS.pattern}`", re.IGNORECASE)
_ESCAPE = re.compile(r"\\([^\w\s])")


def escaped(text: str) -> str:
    """Markdown that shows a text as it is: no picture, link, formula, colour or list.

    A browser fetches a picture without being asked, and a link's text could name any address.
    """
    lines = "\n".join(line.strip() for line in text.splitlines())
    parts = _ADDRESS.split(lines)
    # What looks like an address becomes a link by itself, but for what stands as code.
    parts[::2] = [_MARKS.sub(r"\\\g<0>", part) for part in parts[::2]]
    parts[1::2] = [f"`{part}`" for part in parts[1::2]]
    return _NUMBERED.sub(r"\1\\", "".join(parts))


def plain(text: str) -> str:
    """What a sentence of ours with emphasis and escaped names reads like where nothing is drawn."""
    return _ESCAPE.sub(r"\1", _EMPHASIS.sub("", _CODE.sub(r"\1", text)))


def title(column: str) -> str:
    """A factor's title; another quantity's name in words."""
    if column == "min_train_loss":
        return "minimum training loss"
    return factors.get(column).title if column in factors.names() else column.replace("_", " ")


def brief(column: str) -> str | None:
    """What a factor is, in a sentence for somebody who has not read the paper; None of others."""
    return _BRIEF.get(column)


_BRIEF = {
    "min_train_loss": "The lowest loss on the training data that a run reached.",
    "sharpness": "How much the training loss can rise when every parameter moves a little: small "
    "in a flat valley, large in a narrow one.",
    "fisher_trace": "The Fisher information: how strongly the network's own predictions would "
    "still move its parameters.",
    "gradient_covariance": "How much the gradients of different training examples differ, also "
    "called coherence: small where they agree.",
    "gradient_similarity": "The cosine between the target's gradient and the sum of all tasks' "
    "gradients: 1 where they agree, below 0 where they pull apart.",
}


def capitalised(words: str) -> str:
    """The same words at the beginning of a sentence."""
    return words[:1].upper() + words[1:]


def counted(number: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``"""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def family(judged: int) -> str:
    """How many comparisons are judged together."""
    return f" (Holm's correction for {judged})" if judged > 1 else ""


def number(value: float | None) -> str:
    """A difference of a factor, which may lie anywhere."""
    if value is None or value != value:
        return "–"
    size = abs(value)
    digits = ",.0f" if size >= 100 else ".1f" if size >= 10 else ".2f" if size >= 1 else ".2g"
    return format(value, f"+{digits}").replace("-", "−")
