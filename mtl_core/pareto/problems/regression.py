"""linnerud and csv: several numbers to predict from the same row of a table.

Each objective is the mean squared error of one target, in units of its variance over the training
rows. Predicting the mean costs 1 there; predicting the value of another row, drawn at random, costs
2, twice the variance, and that is the reference point.

linnerud is the table of A. C. Linnerud, North Carolina State University, as Tenenhaus 1998 prints
it and scikit-learn (BSD 3-clause) ships it: chins, sit-ups and jumps of twenty men of a fitness
club, and their weight, waist and pulse. Twenty rows are too few to hold any out, so it is measured
on the rows that it is trained on: a problem of optimization, not of generalization. With an output
for each target a linear model has no trade-off at all, and with one hidden unit in between next to
none, 1 % of the losses. So here one number, linear in the exercises, stands for all three targets,
each in its own standard deviations: the slim waist that goes with many sit-ups goes with a quick
pulse. The losses are strictly convex, so the front is known: least squares on weighted means of the
targets.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mtl_core import checks
from mtl_core.data import own
from mtl_core.data.base import DataState, Stamp, stamp_of
from mtl_core.errors import InputError, quoted
from mtl_core.pareto.problems import sheets, stored_tasks, tables
from mtl_core.pareto.problems.base import Budget, Instance, Objective, Problem
from mtl_core.pareto.problems.examples import Examples
from mtl_core.pareto.problems.options import refuse_unknown

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["CSV", "LINNERUD", "UNITS"]

UNITS = 32
"""Of each of the two hidden layers of the network for a user's table."""

_LINNERUD = Path(__file__).with_name("linnerud.csv")
_PHYSIOLOGICAL = ("Weight", "Waist", "Pulse")


def _linnerud(_: Mapping[str, Any]) -> Examples:
    return tables.whole(tables.read(_LINNERUD, _PHYSIOLOGICAL))


def _csv(options: Mapping[str, Any]) -> Examples:
    targets = _targets(options)
    if stored_tasks.is_name(options.get("file")):
        return stored_tasks.examples(options["file"], targets)
    path = _file(options)
    return _split(path, targets, _stamp(path))


@lru_cache(maxsize=4)
def _split(path: Path, targets: tuple[str, ...], _stamp: Stamp) -> Examples:
    return tables.split(tables.read(path, targets))


def _file(options: Mapping[str, Any]) -> Path:
    file = options.get("file")
    if not isinstance(file, str | Path) or not str(file):
        said = "it is not given" if file is None else f"not {quoted(file)}"
        raise InputError(f"csv needs the option file, the path of a CSV file; {said}")
    return own.located(file)


def _stamp(path: Path) -> Stamp:
    """That of a file; () where there is none that could be read."""
    try:
        return stamp_of([path]) if path.is_file() else ()
    except (OSError, ValueError):  # a name that no file can have
        return ()


def _targets(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of columns: several texts, or one as ``sheets.names`` reads it."""
    refuse_unknown("csv", options, _OPTIONS)
    given = options.get("targets", ())
    try:
        names = sheets.names(given) if isinstance(given, str) else given
    except ValueError as error:
        raise InputError(
            f"the option targets of csv is {quoted(given)}, and {error}; write names like "
            'height,"Weight, kg"'
        ) from None
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise InputError(f"the option targets of csv is names of columns, not {quoted(given)}")
    targets = tuple(name.strip() for name in names if name.strip())
    for name in targets:
        checks.plain_text("the option targets of csv: column", name)
    for name in targets:
        if targets.count(name) > 1:
            raise InputError(
                f"the option targets of csv names {quoted(name)} twice; once is enough"
            )
    if len(targets) < 2:
        raise InputError(
            "csv needs the option targets, two columns or more to predict: a trade-off takes two; "
            f"{f'{quoted(targets[0])} is one' if targets else 'none is given'}"
        )
    return targets


def _load(
    name: str,
    read: Callable[[Mapping[str, Any]], Examples],
    build: "Callable[[int, int], nn.Module]",
    device: "torch.device",
    samples: int | None,
    held_out: int | None,
    options: Mapping[str, Any],
) -> Instance:
    from mtl_core.pareto.problems.networks import applied, started

    refuse_unknown(name, options, _OPTIONS if name == "csv" else ())
    train, test = read(options).tensors(device, samples, held_out)
    module = partial(build, train[0].shape[1], train[1].shape[1])
    predicted = applied(module)

    def losses(parameters: "Mapping[str, Tensor]", batch: "tuple[Tensor, ...]") -> "Tensor":
        rows, targets = batch
        some = next(iter(parameters.values()))
        errors = predicted(parameters, rows.to(some.dtype)) - targets
        return errors.square().mean(dim=0)

    return Instance(start=started(module, device), losses=losses, train=train, test=test)


def _load_csv(
    device: "torch.device",
    samples: int | None,
    held_out: int | None,
    options: Mapping[str, Any],
) -> Instance:
    if stored_tasks.is_name(options.get("file")):
        name = str(options["file"])
        return stored_tasks.load(name, _targets(options), _mlp, device, samples, held_out)
    return _load("csv", _csv, _mlp, device, samples, held_out, options)


def _one_number(features: int, targets: int) -> "nn.Module":
    """A linear function that stands for every target: 4 parameters for linnerud."""
    from torch import nn

    return nn.Linear(features, 1)


def _mlp(features: int, targets: int) -> "nn.Module":
    """Two hidden layers that all targets share, and a linear layer."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(features, UNITS),
        nn.ReLU(),
        nn.Linear(UNITS, UNITS),
        nn.ReLU(),
        nn.Linear(UNITS, targets),
    )


def _linnerud_front(points: int) -> NDArray[np.float64]:
    """The best for each target alone, then the best for weights that fill the triangle evenly."""
    inputs, targets = _linnerud({}).train
    inputs = np.column_stack([inputs, np.ones(len(inputs))]).astype(np.float64)
    numbers = np.arange(max(points - 3, 0))[:, None]
    # Roberts' sequence: the additive recurrence of the plastic number, even in the square.
    square = (0.5 + numbers * [0.7548776662466927, 0.5698402909980532]) % 1
    folded = np.where(square.sum(axis=1, keepdims=True) > 1, 1 - square, square)
    inside = np.column_stack([folded, 1 - folded.sum(axis=1)])
    weights = np.concatenate([np.eye(3), inside])[:points]
    fitted = inputs @ np.linalg.lstsq(inputs, targets @ weights.T)[0]
    front: NDArray[np.float64] = np.square(fitted[:, :, None] - targets[:, None]).mean(axis=0)
    return front


def _another_row(count: int) -> tuple[float, ...]:
    """The reference point: what it costs to predict the value of a row drawn at random."""
    return (2.0,) * count


LINNERUD = Problem(
    name="linnerud",
    title="Linnerud",
    description=(
        "Weight, waist and pulse of twenty men, all predicted by one number that is linear in how "
        "many chins, sit-ups and jumps they do. Comes with the app; its front is known. Measured "
        "on the rows that it is fitted to: they are too few to hold any out."
    ),
    objectives=tuple(Objective(name.lower(), name) for name in _PHYSIOLOGICAL),
    reference=_another_row(len(_PHYSIOLOGICAL)),
    ideal=(0.0,) * len(_PHYSIOLOGICAL),
    # 10, 15 and 21 preferences are even lattices over three objectives.
    presets={
        "quick": Budget(solutions=10, iterations=300, lr=0.1, frames=30),
        "standard": Budget(solutions=15, iterations=1_000, lr=0.1, frames=50),
        "paper": Budget(solutions=21, iterations=3_000, lr=0.1, frames=100),
    },
    load=partial(_load, "linnerud", _linnerud, _one_number),
    data_state=lambda: DataState("found", "comes with the app"),
    front=_linnerud_front,
    fingerprint=lambda _: _linnerud({}).fingerprint,
    held_out=False,
)

_OPTIONS = {
    "file": (
        "own data that is stored, such as own-1a2b3c4d5e, or the path of a CSV file with a header; "
        "of a file every column that is not a target is an input"
    ),
    "targets": (
        "tasks of own data or columns of numbers to predict, two or more, with commas between "
        'them; a name with a comma in it stands in double quotes, as in height,"Weight, kg"'
    ),
}

CSV = Problem(
    name="csv",
    title="Your table",
    description=(
        "Several tasks of your own data, or columns of your own CSV file, predicted by a small "
        "network that they share. Of a file, all other columns are inputs, and a fifth of the rows "
        "is held out."
    ),
    objectives=(),
    reference=(),
    presets={
        "quick": Budget(solutions=6, iterations=500, lr=0.05, batch_size=64, frames=25),
        "standard": Budget(solutions=10, iterations=3_000, lr=0.05, batch_size=64, frames=50),
        "paper": Budget(solutions=15, iterations=20_000, lr=0.05, batch_size=64, frames=100),
    },
    load=_load_csv,
    data_state=lambda: DataState("found", "brings its own: the options file and targets"),
    options=_OPTIONS,
    fingerprint=lambda options: _csv(options).fingerprint,
    notes=lambda options: _csv(options).notes,
    defined=lambda options: _defined(options),
)


def _defined(options: Mapping[str, Any]) -> Problem:
    targets = _targets(options)
    return replace(
        CSV,
        objectives=tuple(Objective(name, name) for name in targets),
        reference=_another_row(len(targets)),
        ideal=(0.0,) * len(targets),
        parameters=_parameters(options.get("file"), targets),
        defined=None,
    )


def _parameters(file: object, targets: Sequence[str]) -> int | None:
    """Of ``_mlp`` for data that is stored, whose description says how wide it is."""
    found = stored_tasks.widths(file, targets)
    if found is None:
        return None
    features, outputs = found
    return (features + 1) * UNITS + (UNITS + 1) * UNITS + (UNITS + 1) * outputs
