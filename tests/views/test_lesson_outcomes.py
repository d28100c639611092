"""Guess against outcome: what ships says what the lessons say, and nothing is scored in doubt."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest

from mtl_core import analysis
from mtl_core.errors import InputError
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.artifacts import cache_dir, scan
from mtl_core.views import lesson_files, lesson_outcomes
from mtl_core.views.lesson_files import UNCLEAR, Choice, Lesson, Sketch, Slider, Step
from mtl_core.views.lesson_outcomes import Mark, Outcome, mark, outcome, panel, score


@cache
def shipped() -> Answers:
    found = [scan(cache_dir() / setting)[0] for setting in ("digits", "synthetic")]
    return Answers(None, found[0] | found[1])


def steps() -> Iterator[tuple[str, Step]]:
    for lesson in lesson_files.lessons():
        assert isinstance(lesson, Lesson)
        for number, step in enumerate(lesson.steps, start=1):
            yield f"{lesson.name}-{number}", step


STEPS = dict(steps())
LIVE = {
    "a_harmful_task-4",
    "a_harmful_task-5",
    "noise_and_data-5",
    "conflicting_gradients-3",
    "trade_offs-1",
    "trade_offs-3",
    "trade_offs-4",
}
"""Steps that are always trained here: their runs do not ship."""


@pytest.mark.parametrize("name", STEPS)
def test_the_runs_that_ship_say_what_the_lesson_expects(name: str) -> None:
    step = STEPS[name]
    found = outcome(step, panel(step, shipped()), shipped())
    assert (found is None) == (name in LIVE)
    if found is not None:
        assert found.key == step.expect
        assert found.decided == (step.expect != UNCLEAR)


def test_a_step_that_is_trained_here_takes_few_runs() -> None:
    """Under a minute on two cores: a run of ``quick`` takes some two seconds of one."""
    for name in LIVE:
        answers = [one.answer for one in panel(STEPS[name], shipped()).shown]
        assert sum(len(answer.missing) for answer in answers) <= 10


def test_the_difference_is_the_panels_own() -> None:
    step = STEPS["a_helpful_task-1"]
    shown = panel(step, shipped())
    found = outcome(step, shown, shipped())
    assert found is not None
    assert found.comparison == shown.transfer(shown.current)
    assert "target is **better** than alone: +6.6 pt, 95 % interval +5.6 … +7.5 pt" in found.said


def test_two_runs_are_compared_with_each_other() -> None:
    step = STEPS["noise_and_data-3"]
    shown = panel(step, shipped())
    found = outcome(step, shown, shipped())
    clean, noisy = (shown.transfer(one) for one in shown.shown[1:])
    assert found is not None
    assert found.comparison is not None
    assert clean is not None
    assert noisy is not None
    assert found.comparison.delta == pytest.approx(noisy.delta - clean.delta)
    assert found.comparison.family == 1
    assert found.said.startswith("With cos0_noise50, target is **better** than with cos0: +4.6 pt")


def test_a_gap_is_read_at_equal_loss() -> None:
    step = STEPS["a_helpful_task-4"]
    shown = panel(step, shipped())
    gap = shown.gap(shown.current)
    found = outcome(step, shown, shipped())
    assert found is not None
    assert gap is not None
    assert found.comparison == gap.comparison
    assert "at the same training loss" in found.said


def test_a_cosine_is_judged_against_0() -> None:
    step = STEPS["conflicting_gradients-2"]
    shown = panel(step, shipped())
    found = outcome(step, shown, shipped())
    assert found is not None
    assert found.comparison is not None
    rows = shipped().table(shown.current.answer, "cosines")
    means = rows[rows["step"] > 0].groupby("seed")["cosine"].mean()
    assert len(means) == found.comparison.pairs == 10
    assert found.comparison.delta == pytest.approx(means.mean())
    assert found.comparison.baseline_mean == 0
    half = 2.2621571628 * means.std() / 10**0.5  # t of 9 degrees of freedom
    assert found.comparison.low == pytest.approx(means.mean() - half)


def test_nothing_is_said_before_all_runs_are_done() -> None:
    step = STEPS["a_helpful_task-1"]
    unknown = replace(step, runs=(replace(step.runs[0], seeds=(0, 1, 77)),))
    assert outcome(unknown, panel(unknown, shipped()), shipped()) is None


def test_a_course_ends_where_the_runs_end() -> None:
    step = STEPS["a_harmful_task-2"]
    shown = panel(step, shipped())
    course = lesson_outcomes.course(shown, shown.current)
    rows = shown.settled.query("curve == '+ cos0' and task == 'target'")
    last = rows[rows["step"] == rows["step"].max()]["test_metric"].mean()
    assert course[0][0] == 0
    assert course[-1] == (1.0, pytest.approx(100 * last))
    assert [share for share, _ in course] == sorted({share for share, _ in course})


# Marks.

STEP = STEPS["a_harmful_task-1"]  # a slider from −15 to 15 points
WORSE = analysis.compare([0.60, 0.62, 0.61], [0.70, 0.72, 0.715], seeds=(0, 1, 2),
                         baseline_seeds=(0, 1, 2))  # fmt: skip
FOUND = Outcome("worse", "", WORSE)


@pytest.mark.parametrize(
    ("guess", "right", "said"),
    [
        ("-10", True, "Your guess was −10.0 pt: inside the interval."),
        ("-8", True, "above the interval: close."),
        ("-3", False, "above the interval."),
        ("-15", False, "below the interval."),
        ("0", False, "above the interval."),
        ("2", False, "Your guess was +2.0 pt: on the other side of 0."),
    ],
)
def test_a_number_counts_inside_the_interval_or_close(guess: str, right: bool, said: str) -> None:
    assert WORSE.verdict == "worse"
    assert 100 * WORSE.low == pytest.approx(-10.88, abs=0.01)
    assert 100 * WORSE.high == pytest.approx(-9.45, abs=0.01)
    found = mark(STEP, guess, FOUND)
    assert found.right is right
    assert found.said.endswith(said)


@pytest.mark.parametrize(
    ("guess", "key", "right"),
    [
        ("better", "better", True),
        ("worse", "better", False),
        ("unclear", "better", False),
        ("better", UNCLEAR, None),
        ("unclear", UNCLEAR, None),
    ],
)
def test_a_choice_counts_where_the_runs_tell(guess: str, key: str, right: bool | None) -> None:
    step = STEPS["a_helpful_task-1"]
    assert isinstance(step.guess, Choice)
    assert mark(step, guess, Outcome(key, "")).right is right


def test_undecided_scores_nothing_whatever_was_guessed() -> None:
    assert isinstance(STEP.guess, Slider)
    for guess in ("-10", "0", "10"):
        assert mark(STEP, guess, Outcome(UNCLEAR, "", WORSE)).right is None
        assert mark(STEP, guess, Outcome(UNCLEAR, "")).right is None


@pytest.mark.parametrize(("end", "right"), [(40, True), (80, False)])
def test_a_sketch_counts_by_the_side_on_which_it_ends(end: int, right: bool) -> None:
    step = replace(STEP, guess=Sketch(3))
    assert mark(step, f"25.40.{end}", FOUND).right is right


def test_what_is_no_guess_is_refused() -> None:
    with pytest.raises(InputError, match="'99' is not from -15 to 15"):
        mark(STEP, "99", FOUND)


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        ([], "Nothing was guessed."),
        ([True], "1 of 1 guess right."),
        ([True, False, True], "2 of 3 guesses right."),
        ([True, None], "1 of 1 guess right; in 1 step the runs cannot tell."),
        (
            [None, None],
            "In 2 steps the runs cannot tell, so nothing is scored.",
        ),
    ],
)
def test_the_score_counts_what_was_decided(marks: list[bool | None], said: str) -> None:
    assert score(Mark(right, "") for right in marks) == said
