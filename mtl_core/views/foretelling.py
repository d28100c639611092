"""Whether a race could have been foretold: cheap guesses of what each candidate is worth."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mtl_core import settings
from mtl_core.analysis.foretelling import FEWEST, Foretold, foretold
from mtl_core.analysis.label_entropy import label_entropy
from mtl_core.checks import with_seeds
from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.kept import Kept
from mtl_core.runs import look_ahead
from mtl_core.runs.library import look_aheads
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.runs.library.here import answers_here
from mtl_core.runs.race import MOST, Contest, Standing, reached, standing
from mtl_core.views.measures import Measure
from mtl_core.views.phrases import counted, listed
from mtl_core.views.which_auxiliary import RaceView

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CAPTION",
    "EARLY",
    "LOOK_AHEAD",
    "TOO_FEW",
    "Guess",
    "command",
    "foretell",
    "guesses",
    "notes",
    "shown",
    "table",
]

EARLY = 0.1
"""The share of a run's epochs that is early; at least one epoch."""

LOOK_AHEAD = "Look-ahead affinity"

TOO_FEW = (
    f"Too few to tell: it takes {FEWEST} candidates that have been measured as the only "
    "auxiliary. Of four, even a perfect rank correlation is chance in one of twelve cases."
)

CAPTION = """\
Each guess is held against the measured ΔE of each candidate as the only auxiliary, over all of its
seeds that are known: Spearman's ρ with its interval, which is wide where candidates are few,
however well their order fits; R², how much of the candidates' differences in ΔE a straight line on
the guess explains; and the *regret*, what trusting the guess alone would have lost against the best
measured. Many guesses on few candidates: none of these intervals is corrected for the others.

*Gradient similarity* is the cosine between the target's gradient and the sum of both, in one run
of each; *early* is the first tenth of it, at least an epoch. *Look-ahead affinity* is by how much a
small step of the shared network for the candidate alone lowers the target's loss at once, as a
share of it, the mean along one short run with all candidates together (Fifty et al. 2021); it grows
with the candidate's gradient, so that noise, which never stops pulling, can look helpful. *Label
entropy* is how evenly a task's training labels are spread over its classes, in nats; the difference
is the candidate's minus the target's, as more even labels are said to help more (Martínez Alonso &
Plank 2017). A regression has none.
"""


@dataclass(frozen=True)
class Guess:
    """A predictor, and how it did.

    Attributes:
        title: what a page calls it.
        found: how it compares with measured transfer; None where it says nothing here.
        note: why it says nothing, or not of all candidates; else empty.
    """

    title: str
    found: Foretold | None
    note: str = ""


@dataclass(frozen=True)
class _Guessed:
    """Candidate to what a predictor says of it, higher for what should help more, and its note."""

    values: Mapping[str, float]
    note: str = ""


def guesses(standing: Standing, answers: Answers) -> list[Guess]:
    """Predictors of what each candidate gains as the only auxiliary, each with how it did.

    Gains are mean differences of E to the reference, over the seeds that both have, with their sign
    turned where lower is better. The gradient's similarity (M24 Eq. 6) is that of seed 0's run with
    this candidate; the look-ahead affinity (Fifty et al. 2021) is that of one short joint run with
    all of them, where it has been computed; label entropies are of the training labels.

    Returns:
        None at all where fewer than five candidates have been measured.
    """
    contest = standing.contest
    task = settings.get(contest.setting).task(contest.target)
    sign = 1 if task.direction == "higher" else -1
    singles = {
        name: standing.answers[name]
        for name, config in contest.configs.items()
        if len(config.auxiliaries) == len(contest.given) + 1
    }
    base = reached(standing.answers[contest.reference], answers)
    own = {name: _candidate(answer, contest) for name, answer in singles.items()}
    gains = {own[name]: sign * _gain(reached(one, answers), base) for name, one in singles.items()}
    if sum(map(math.isfinite, gains.values())) < FEWEST:
        return []
    similarity = {
        early: {own[name]: _similarity(one, answers, early=early) for name, one in singles.items()}
        for early in (True, False)
    }
    tables = {
        "Gradient similarity, early": _Guessed(similarity[True]),
        "Gradient similarity, mean": _Guessed(similarity[False]),
        LOOK_AHEAD: _looked_ahead(contest),
        "Label entropy, difference": _entropies(contest),
    }
    if cosines := _cosines(contest):
        tables["True cosine, its size"] = _Guessed(cosines)
    return [_held(title, guessed, gains) for title, guessed in tables.items()]


def shown(found: Sequence[Guess], measure: Measure) -> "pd.DataFrame":
    """Guesses as a page shows them: a row each, with "–" for what one that says nothing lacks."""
    import pandas as pd

    rows = []
    for one in found:
        held = one.found
        rows.append(
            {
                "guess": one.title,
                "candidates": "–" if held is None else str(held.n),
                "rank correlation": "–" if held is None else _signed(held.rho),
                "95 % interval": "–" if held is None else _between(held.low, held.high, _signed),
                "R²": "–" if held is None else _share(held.r2),
                "R², 95 %": "–" if held is None else _between(held.r2_low, held.r2_high, _share),
                "would have picked": "–" if held is None else held.picked,
                "best measured": "–" if held is None else held.best,
                "regret": "–" if held is None else measure.delta(held.regret).removeprefix("+"),
            }
        )
    return pd.DataFrame(rows)


def notes(found: Sequence[Guess]) -> list[str]:
    """Why guesses say nothing, or not of all candidates, in a line each."""
    return [f"{one.title}: {one.note}." for one in found if one.note]


def command(view: RaceView) -> str:
    """What a race's guesses are as a command."""
    parts = ["python -m mtl_core foretell", f"--setting {view.setting}", f"--target {view.target}"]
    if view.candidates:
        parts.append(f"--candidates {' '.join(view.candidates)}")
    return " ".join([*parts, f"--preset {view.preset}", f"--most {view.most}"])


def _signed(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.2f}"


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _between(low: float, high: float, said: Callable[[float], str]) -> str:
    return "–" if math.isnan(low) else f"{said(low)} … {said(high)}"


def table(found: Sequence[Guess]) -> "pd.DataFrame":
    """Guesses as a tidy table, see ``foretell``."""
    import pandas as pd

    none = math.nan
    nothing = Foretold(0, none, none, none, "", "", none, none, none, none)
    rows = []
    for one in found:
        held = one.found or nothing
        rows.append(
            {
                "predictor": one.title,
                "candidates": held.n,
                "rho": held.rho,
                "rho_low": held.low,
                "rho_high": held.high,
                "r2": held.r2,
                "r2_low": held.r2_low,
                "r2_high": held.r2_high,
                "picked": held.picked,
                "best": held.best,
                "regret": held.regret,
                "note": one.note,
            }
        )
    columns = ("predictor", "candidates", "rho", "rho_low", "rho_high", "r2", "r2_low", "r2_high")
    return pd.DataFrame(rows, columns=[*columns, "picked", "best", "regret", "note"])


def foretell(
    setting: str,
    target: str | None = None,
    candidates: Sequence[str] | None = None,
    *,
    preset: str = "quick",
    most: int = MOST,
    compute: bool = True,
    tell: Callable[[float], None] | None = None,
) -> "pd.DataFrame":
    """Whether cheap predictors would have told which auxiliary helps: each against what is known.

    Measured transfer is that of runs that ship, were imported or are in the store: ``race`` carries
    them out, this does not.

    Args:
        setting: name of a setting.
        target: the task that is to generalize; default: the setting's usual one.
        candidates: tasks that may be auxiliaries; default: all others.
        preset: the budget of each run.
        most: seeds of each training at most.
        compute: whether the joint run of look-ahead affinity is carried out where it is not known,
            in this process; what it finds is kept beside the store.
        tell: is called with the share of that run which is done.

    Returns:
        A row for each predictor, none with fewer than five measured candidates: ``predictor``;
        ``candidates``, how many it was held against; ``rho`` with ``rho_low`` and ``rho_high``,
        Spearman's correlation with measured transfer and its 95 % interval; ``r2`` with ``r2_low``
        and ``r2_high``, the share of measured transfer's variance that a line on it explains;
        ``picked`` and ``best``, what it would have chosen and what was best; ``regret``, what that
        costs, in the metric's unit; ``note``, why it says nothing or not of all.

    Raises:
        InputError: for what cannot be trained.
        DataMissing: when the joint run is to be carried out and its data is not here.
        StoreError: when the store cannot be used.
    """
    known = settings.get(setting)
    goal = known.default_target if target is None else known.task(target).name
    others = [task.name for task in known.tasks if task.name != goal]
    asked = others if candidates is None else [known.task(name).name for name in candidates]
    contest = Contest(setting, goal, preset, tuple(asked), most=most)
    answers = answers_here()
    stands = standing(contest, answers)
    found = guesses(stands, answers)
    joint = look_ahead.joint(contest)
    if found and compute and look_aheads.find(joint) is None:
        look_ahead.compute(joint, tell=tell)
        found = guesses(stands, answers)
    return table(found)


def _held(title: str, guessed: _Guessed, gains: Mapping[str, float]) -> Guess:
    found = foretold(guessed.values, gains)
    if found is not None or guessed.note:
        return Guess(title, found, guessed.note)
    there = sum(map(math.isfinite, guessed.values.values()))
    return Guess(title, None, f"known of {counted(there, 'candidate')} only; it takes {FEWEST}")


def _candidate(answer: Answer, contest: Contest) -> str:
    """The one auxiliary of a training that is not given."""
    auxiliaries: tuple[str, ...] = answer.config.auxiliaries
    return next(name for name in auxiliaries if name not in contest.given)


def _gain(own: tuple[float, ...], base: tuple[float, ...]) -> float:
    shared = min(len(own), len(base))
    return float(np.mean(np.subtract(own[:shared], base[:shared]))) if shared else math.nan


def _similarity(answer: Answer, answers: Answers, *, early: bool) -> float:
    """Cosine between the target's gradient and the sum of both, over the first seed's run."""
    if not answer.done:
        return math.nan
    run = answers.find(with_seeds(answer.config, answer.done[:1]))
    rows = answers.main(run)
    rows = rows[(rows["task"] == answer.config.target) & (rows["step"] > 0)]
    if early:
        rows = rows[rows["epoch"] <= max(1.0, EARLY * answer.config.epochs)]
    return float(rows["gradient_similarity"].astype(float).mean())


def _looked_ahead(contest: Contest) -> _Guessed:
    """Affinity of each candidate onto the target, where it has been computed."""
    run = look_aheads.find(look_ahead.joint(contest))
    if run is None:
        return _Guessed({}, "not computed yet")
    affinity = run.found.affinity
    return _Guessed({name: affinity[name] for name in contest.candidates})


def _cosines(contest: Contest) -> dict[str, float]:
    """|cosine| of the true functions, which heads cannot undo, where the setting knows it."""
    known = settings.get(contest.setting).relatedness
    if known is None or contest.given:
        return {}
    return {name: abs(known(name, contest.target).cosine) for name in contest.candidates}


# Label entropy.


def _entropies(contest: Contest) -> _Guessed:
    """H of each candidate's training labels minus H of the target's, in nats."""
    setting = settings.get(contest.setting)
    without = [name for name in contest.candidates if setting.task(name).loss != "cross_entropy"]
    if setting.task(contest.target).loss != "cross_entropy":
        return _Guessed({}, f"not defined: {contest.target} is a regression, its labels no classes")
    note = ""
    if without:
        few = listed(without) if len(without) <= FEWEST else counted(len(without), "candidate")
        note = f"not defined for {few}: a regression's labels are no classes"
    config = contest.configs[contest.reference]
    classified = tuple(name for name in contest.candidates if name not in without)
    state = setting.data_state()
    if state.state != "found":
        return _Guessed({}, "the data is not on this machine, so its labels are not known")
    try:
        found = _entropies_of.get(
            (setting.name, contest.target, classified, config.samples),
            lambda: _computed(config, (contest.target, *classified)),
            state.stamp,
        )
    except InputError as error:
        return _Guessed({}, str(error))
    return _Guessed({name: found[name] - found[contest.target] for name in classified}, note)


def _computed(config: RunConfig, tasks: tuple[str, ...]) -> dict[str, float]:
    loaded = settings.get(config.setting).load(tasks)
    return {
        task: label_entropy(data.train.first(config.samples).targets)
        for task, data in loaded.items()
    }


_entropies_of: Kept[dict[str, float]] = Kept(most=256)
