"""A guess against the outcome: what the runs of a lesson's step say, by the pages' statistics."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl_core.runs.library.answers import Answers
from mtl_core.views import measures, phrases
from mtl_core.views.lesson_files import UNCLEAR, Choice, Slider, Step
from mtl_core.views.panel import Panel, Shown, build

if TYPE_CHECKING:
    from mtl_core.analysis import Comparison

__all__ = [
    "SLACK",
    "Mark",
    "Outcome",
    "amount",
    "axis",
    "mark",
    "outcome",
    "panel",
    "score",
]

SLACK = 0.1
"""Of a slider's range: a guess this close to the interval counts as right."""
_SIGNED = {"better": 1, "worse": -1, "higher": 1, "lower": -1}
_OF_FACTOR = {"can explain": "explains", "moves the other way": "opposes"}


@dataclass(frozen=True)
class Outcome:
    """What the runs of a step say.

    Args:
        key: one of ``MEASURES``' outcomes; ``UNCLEAR`` where the runs cannot tell.
        said: one or two sentences.
        comparison: the difference that was judged; None of a factor.
    """

    key: str
    said: str
    comparison: "Comparison | None" = None

    @property
    def decided(self) -> bool:
        return self.key != UNCLEAR


@dataclass(frozen=True)
class Mark:
    """What became of a guess.

    Args:
        right: None where the runs cannot tell, which scores nothing.
    """

    right: bool | None
    said: str


def panel(step: Step, answers: Answers) -> Panel:
    """The single task, and all that the step trains beside it."""
    return build(step.configs, [], answers)


def outcome(step: Step, shown: Panel, answers: Answers) -> Outcome | None:
    """What a step's runs say; None until all of them are done."""
    if any(one.answer.state != "done" for one in shown.shown):
        return None
    if step.measure in ("transfer", "gap"):
        return _difference(step, shown)
    if step.measure == "cosine":
        return _cosine(step, shown, answers)
    return _factor(step.measure, shown)


def mark(step: Step, guess: str, found: Outcome) -> Mark:
    """A guess, as a URL has it, against the outcome. Raises InputError for what is no guess."""
    if isinstance(step.guess, Choice):
        return _chosen(step.guess.parse(guess), found)
    guessed, compared = step.guess.parse(guess), found.comparison
    if not found.decided or compared is None:
        return Mark(None, "Undecided. Nothing is scored.")
    if isinstance(guessed, float):
        return _number(step, guessed, compared)
    return _ending(step, guessed[-1] / 100 - compared.baseline_mean, found)


def score(marks: Iterable[Mark]) -> str:
    """How many guesses were right, in a sentence."""
    listed = list(marks)
    right = sum(one.right is True for one in listed)
    told = sum(one.right is not None for one in listed)
    if not listed:
        return "Nothing was guessed."
    open_ = f"in {phrases.counted(len(listed) - told, 'step')} the runs cannot tell"
    if not told:
        return f"{phrases.capitalised(open_)}, so nothing is scored."
    said = f"{right} of {told} {'guess' if told == 1 else 'guesses'} right"
    return f"{said}." if told == len(listed) else f"{said}; {open_}."


def course(shown: Panel, one: Shown) -> list[tuple[float, float]]:
    """A curve over its training: the share of it that is done, and the target's metric in percent.

    Means over seeds, at checkpoints that all of them have reached.
    """
    rows = shown.settled
    rows = rows[(rows["curve"] == one.label) & (rows["task"] == one.config.target)]
    means = rows.groupby("epoch")["test_metric"].agg(["mean", "count"])
    means = means[means["count"] == len(one.config.seeds)]
    shares = (float(epoch) / one.config.epochs for epoch in means.index)
    return list(zip(shares, (100 * float(mean) for mean in means["mean"]), strict=True))


def amount(step: Step, value: float) -> str:
    """A number of the quantity that a step asks about."""
    if step.measure == "cosine":
        return f"{value:+.2g}".replace("-", "−") if abs(value) >= 5e-4 else "0"
    config = step.configs[0]
    return measures.measure(config.setting, config.target).delta(value).replace("-", "−")


def axis(step: Step) -> tuple[float, str]:
    """What a slider's number is one of, and what an axis of them is called."""
    if _is_share(step):
        return 0.01, "change in percentage points"
    return 1.0, "mean cosine" if step.measure == "cosine" else "change"


def _is_share(step: Step) -> bool:
    config = step.configs[0]
    return step.measure != "cosine" and measures.measure(config.setting, config.target).share


# What the runs say.


def _difference(step: Step, shown: Panel) -> Outcome:
    """Transfer or gap of the last curve, over the single task or the first."""
    last = shown.shown[-1]
    found = _beside_first(step, shown) if step.against_first else _beside_alone(step, shown)
    if found is None:
        return Outcome(UNCLEAR, "These runs have no such difference to look at.")
    key = found.verdict if found.significant else UNCLEAR
    where = " at the same training loss" if step.measure == "gap" else ""
    than = f"with {_curve(shown.shown[1])}" if step.against_first else "alone"
    target = phrases.escaped(last.config.target)
    said = f"With {_curve(last)}, {target} is **{found.verdict}** than {than}{where}"
    return Outcome(key, _sentence(step, said, found), found)


def _beside_alone(step: Step, shown: Panel) -> "Comparison | None":
    """As What if has it: judged together with the step's other curves."""
    last = shown.shown[-1]
    if step.measure == "transfer":
        return shown.transfer(last)
    found = shown.gap(last)
    return found.comparison if found else None


def _beside_first(step: Step, shown: Panel) -> "Comparison | None":
    from mtl_core import analysis
    from mtl_core.analysis.versus import Versus

    last, alone = shown.shown[-1], shown.versus(shown.shown[-1])
    versus = Versus(alone.task, last.label, shown.shown[1].label, alone.direction)
    if step.measure == "transfer":
        return analysis.transfer(shown.settled, versus)
    found = analysis.gap(shown.settled, versus)
    return found.comparison if found else None


def _cosine(step: Step, shown: Panel, answers: Answers) -> Outcome:
    """The mean cosine of the target's gradient with the other tasks', against 0."""
    from mtl_core.analysis import compare

    last = shown.shown[-1]
    means = _mean_cosines(last, answers)
    found = compare(
        means.values(),
        [0.0] * len(means),
        seeds=list(means),
        baseline_seeds=list(means),
    )
    key = {"better": "higher", "worse": "lower"}.get(found.verdict, UNCLEAR)
    side = "above" if key == "higher" else "below"
    told = f"With {_curve(last)}, the mean cosine between the tasks' gradients lies {side} 0"
    return Outcome(key, _sentence(step, told, found), found)


def _mean_cosines(one: Shown, answers: Answers) -> dict[int, float]:
    """Seed to the mean over all checkpoints but that of the untrained network."""
    rows, target = answers.table(one.answer, "cosines"), one.config.target
    involved = (rows["task"] == target) | (rows["other"] == target)
    seeds = rows[involved & (rows["step"] > 0)].dropna(subset=["cosine"]).groupby("seed")
    means = seeds["cosine"].mean()
    return dict(zip(map(int, means.index), map(float, means), strict=True))


def _factor(name: str, shown: Panel) -> Outcome:
    """Whether a factor moves as it must if it explained the transfers of all curves."""
    found = next(one for one in shown.verdicts if one.factor == name)
    key = _OF_FACTOR.get(found.outcome, UNCLEAR)
    reasons = phrases.escaped("; ".join((found.missing or found.reasons)[:2]))
    said = f"{phrases.capitalised(phrases.title(name))} **{found.outcome}**"
    if key == UNCLEAR:
        said = f"These runs cannot tell: {phrases.title(name)} is *{found.outcome}*"
    return Outcome(key, f"{said}{f' ({reasons})' if reasons else ''}.")


# Words.


def _curve(one: Shown) -> str:
    return phrases.escaped(one.label.removeprefix("+ "))


def _sentence(step: Step, said: str, found: "Comparison") -> str:
    """What was found with its interval, or that nothing was."""
    ends = _between(step, found)
    seeds = phrases.counted(found.pairs or min(found.seeds, found.baseline_seeds), "seed")
    family = phrases.family(found.family)
    if found.significant:
        return f"{said}: {amount(step, found.delta)}, 95 % interval {ends} over {seeds}{family}."
    if not ends:
        return "These runs cannot tell: an interval takes two seeds a side."
    said = f"These runs cannot tell: {amount(step, found.delta)}, 95 % interval {ends} over {seeds}"
    return f"{said}{family}. That is no evidence of no difference.{_needed(found.more_seeds)}"


def _needed(more: int | None) -> str:
    from mtl_core.analysis import MOST_NEEDED

    if more is None or more >= MOST_NEEDED:
        return ""
    return f" About {phrases.counted(more, 'more seed')} would settle it, if it stays so large."


def _between(step: Step, found: "Comparison") -> str:
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return ""
    low, high = amount(step, found.low), amount(step, found.high)
    return f"{low.removesuffix(' pt')} … {high}"


# Guesses.


def _chosen(key: str, found: Outcome) -> Mark:
    if not found.decided:
        ours = " So you said; it scores nothing." if key == UNCLEAR else " Nothing is scored."
        return Mark(None, f"Undecided.{ours}")
    if key == UNCLEAR:
        return Mark(False, "You expected no answer; the runs do give one.")
    right = key == found.key
    return Mark(right, "Your guess was right." if right else "It came out the other way.")


def _number(step: Step, guess: float, compared: "Comparison") -> Mark:
    """Right on the same side of 0 and inside the interval, or close to it."""
    assert isinstance(step.guess, Slider)
    unit, _ = axis(step)
    guess, slack = guess * unit, SLACK * (step.guess.high - step.guess.low) * unit
    off = max(compared.low - guess, guess - compared.high, 0.0)
    said = f"Your guess was {amount(step, guess)}"
    if off == 0:
        return Mark(True, f"{said}: inside the interval.")
    if guess * compared.delta < 0:
        return Mark(False, f"{said}: on the other side of 0.")
    where = "below" if guess < compared.low else "above"
    told = f"{said}, {amount(step, off).lstrip('+')} {where} the interval"
    return Mark(True, f"{told}: close.") if off <= slack else Mark(False, f"{told}.")


def _ending(step: Step, guess: float, found: Outcome) -> Mark:
    """Of a sketch: whether it ends on the right side of what it is compared with."""
    right = guess * _SIGNED[found.key] > 0
    said = f"Your curve ends {amount(step, guess)} from the other one"
    return Mark(right, f"{said}, on the {'right' if right else 'wrong'} side.")
