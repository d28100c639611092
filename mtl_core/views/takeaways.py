"""What can be taken away from a page into a paper or a notebook: LaTeX, and lines of code."""

from collections.abc import Mapping, Sequence
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from mtl_core.views.what_if import BASELINE, Question

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["comparison_code", "figure_code", "latex"]

_SIGNS = {
    "\\": r"\textbackslash{}",
    "Δ": r"$\Delta$",
    "±": r"$\pm$",
    "−": "$-$",
    "…": r"\ldots{}",
    "–": "--",
    "ρ": r"$\rho$",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def latex(table: "pd.DataFrame") -> str:
    """A table of words and numbers in LaTeX, with the rules of the package booktabs.

    Numbers are right-aligned and written as they are; what has a meaning in LaTeX is escaped.
    """
    numeric = [table[name].dtype.kind in "iuf" for name in table.columns]
    sides = "".join("r" if one else "l" for one in numeric)
    rows = [_row(row) for row in table.itertuples(index=False)]
    begin = [rf"\begin{{tabular}}{{{sides}}}", r"\toprule", _row(list(table.columns)), r"\midrule"]
    return "\n".join([*begin, *rows, r"\bottomrule", r"\end{tabular}", ""])


def comparison_code(question: Question) -> str:
    """Lines of Python that ask the same question: its table and its figure."""
    names: list[Any] = [*question.auxiliaries]
    asked: list[Any] = names if len(names) < 2 else [tuple(names)]
    arguments: Mapping[str, Any] = {
        "optimizers": (BASELINE, *question.optimizers) if question.optimizers else None,
        "preset": question.preset if question.preset != "quick" else None,
        "seeds": question.seeds,
        **question.overrides,
        "options": {name: dict(own) for name, own in question.options.items()} or None,
    }
    rest = "".join(
        f"    {name}={value!r},\n" for name, value in arguments.items() if value is not None
    )
    return (
        "import mtl_core\n\n"
        "found = mtl_core.compare(\n"
        f"    {question.setting!r},\n    {question.target!r},\n    {asked!r},\n{rest})\n"
        "found.table  # transfer and gap with intervals\n"
        "found.chart()  # generalization over training loss\n"
    )


def figure_code(page: str, question: Mapping[str, str]) -> str:
    """Lines of Python that give the figure of a page and its table, of the runs that are known."""
    plain = {
        name: value
        for name, value in question.items()
        if name.isidentifier() and not iskeyword(name)
    }
    rest = {name: value for name, value in question.items() if name not in plain}
    lines = [f"    {name}={value!r},\n" for name, value in plain.items()]
    lines += [f"    **{rest!r},\n"] if rest else []
    return (
        "import mtl_core\n\n"
        f"found = mtl_core.figure(\n    {page!r},\n{''.join(lines)})\n"
        "found.table  # the numbers behind it\n"
        "found.charts  # Altair's, to change further\n"
        f"found.save('{page}.svg')  # or .pdf, .png, .csv, .tex, .bib\n"
    )


def _row(cells: Sequence[Any]) -> str:
    return " & ".join(map(_cell, cells)) + r" \\"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "--" if value != value else f"${value:.4g}$" if value < 0 else f"{value:.4g}"
    return "".join(_SIGNS.get(sign, sign) for sign in str(value))
