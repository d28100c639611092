"""Multi-task optimizers: how task gradients are combined. One file per method, listed here.

Nearly every method is a weighting: the shared parameters move along Σ_k weights[k] · grad_k, while
each task's own head gets its own unweighted gradient.
"""

from collections.abc import Mapping
from typing import Any

from mtl_core.errors import unknown
from mtl_core.optimizers import (
    aligned_mtl,
    cagrad,
    dwa,
    fairgrad,
    famo,
    graddrop,
    gradnorm,
    gradvac,
    imtl_g,
    imtl_l,
    mean,
    mgda,
    nash_mtl,
    pcgrad,
    rlw,
    umtg,
    uncertainty,
    upgrad,
)
from mtl_core.optimizers.base import (
    SCALE,
    Draws,
    Method,
    Numbers,
    Option,
    OptionValue,
    Rule,
    Step,
)
from mtl_core.optimizers.beside import Beside

__all__ = [
    "SCALE",
    "Beside",
    "Draws",
    "Method",
    "Numbers",
    "Option",
    "OptionValue",
    "Rule",
    "Step",
    "changed",
    "create",
    "names",
    "options",
    "rule",
]

_RULES: Mapping[str, Rule] = {
    "umtg": umtg.RULE,
    "mean": mean.RULE,
    "mgda": mgda.RULE,
    "pcgrad": pcgrad.RULE,
    "gradnorm": gradnorm.RULE,
    "cagrad": cagrad.RULE,
    "nash_mtl": nash_mtl.RULE,
    "imtl_g": imtl_g.RULE,
    "imtl_l": imtl_l.RULE,
    "aligned_mtl": aligned_mtl.RULE,
    "upgrad": upgrad.RULE,
    "gradvac": gradvac.RULE,
    "fairgrad": fairgrad.RULE,
    "uncertainty": uncertainty.RULE,
    "dwa": dwa.RULE,
    "rlw": rlw.RULE,
    "famo": famo.RULE,
    "graddrop": graddrop.RULE,
}


def names() -> list[str]:
    """All methods, the paper's baseline first."""
    return list(_RULES)


def rule(name: str) -> Rule:
    """What a method is: title, source, options.

    Raises:
        InputError: for an unknown name.
    """
    try:
        return _RULES[name]
    except (KeyError, TypeError):
        raise unknown("optimizer", name, _RULES) from None


def options(name: str) -> tuple[Option, ...]:
    """What a method lets its user choose, ``scale`` last.

    Raises:
        InputError: for an unknown name.
    """
    return (*rule(name).options, SCALE)


def create(name: str, /, *, num_tasks: int, **options: Any) -> Method:
    """A fresh method for one run.

    Raises:
        InputError: for an unknown name or option, or an option out of its range.
    """
    return Method(name, rule(name), num_tasks, options)


def changed(method: Method) -> dict[str, OptionValue]:
    """The options of a method that are not at their defaults."""
    usual = {option.name: option.default for option in options(method.name)}
    return {name: value for name, value in method.options.items() if value != usual[name]}
