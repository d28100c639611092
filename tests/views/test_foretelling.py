"""Whether a race could have been foretold, on the runs of synthetic that ship."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

import mtl_core
from mtl_core import DataMissing, RunConfig, settings
from mtl_core.runs import look_ahead
from mtl_core.runs.library import look_aheads
from mtl_core.runs.library.look_aheads import JointRun
from mtl_core.runs.race import Contest, reached, standing
from mtl_core.settings import DataState, Split, TaskData
from mtl_core.training.looks import LookAhead, looks
from mtl_core.views import foretelling
from mtl_core.views.foretelling import LOOK_AHEAD, guesses, notes, shown, table
from mtl_core.views.measures import measure

SHIPPED = ("cos100", "cos75", "cos50", "cos25", "cos0", "cosm50", "cosm100")
ALL = tuple(task.name for task in settings.get("synthetic").tasks if task.name != "target")
TITLES = [
    "Gradient similarity, early",
    "Gradient similarity, mean",
    LOOK_AHEAD,
    "Label entropy, difference",
    "True cosine, its size",
]


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of its own for what is computed."""
    monkeypatch.setenv("MTL_STORE", str(tmp_path / "runs.db"))
    return tmp_path / "look_ahead"


def gains_of(stands: Any, answers: Any, names: tuple[str, ...]) -> dict[str, float]:
    """Mean ΔE over the seeds that both have."""
    alone = reached(stands.answers["stl"], answers)
    found = {}
    for name in names:
        own = reached(stands.answers[name], answers)
        count = min(len(own), len(alone))
        found[name] = float(np.mean(own[:count])) - float(np.mean(alone[:count]))
    return found


def test_the_true_cosine_foretells_what_helps(shipped_answers) -> None:
    found = standing(Contest("synthetic", "target", "quick", SHIPPED), shipped_answers)
    told = {one.title: one.found for one in guesses(found, shipped_answers)}
    assert [*told] == TITLES
    cosine = told["True cosine, its size"]
    assert cosine is not None
    assert cosine.n == len(SHIPPED)
    assert cosine.rho > 0.9
    assert cosine.picked in ("cos100", "cosm100")
    alone, best = (reached(found.answers[name], shipped_answers) for name in ("stl", cosine.best))
    assert sum(best) / 10 - sum(alone) / 10 == pytest.approx(0.0678, abs=0.001)


def test_few_candidates_foretell_nothing(shipped_answers) -> None:
    found = standing(Contest("digits", "digits1", "quick", ("digits2",)), shipped_answers)
    assert guesses(found, shipped_answers) == []


# Look-ahead affinity.


def test_the_look_ahead_that_ships_answers_the_pages_question_on_synthetic(shipped_answers) -> None:
    contest = Contest("synthetic", "target", "quick", ALL)
    known = look_aheads.find(look_ahead.joint(contest))
    assert known is not None
    assert known.made["data_fingerprint"]
    assert "mtl_core foretell --setting synthetic" in known.made["command"]
    stands = standing(contest, shipped_answers)
    told = {one.title: one for one in guesses(stands, shipped_answers)}
    found = told[LOOK_AHEAD].found
    assert found is not None
    assert told[LOOK_AHEAD].note == ""
    gains, affinity = gains_of(stands, shipped_answers, ALL), known.found.affinity
    rho = stats.spearmanr([affinity[n] for n in ALL], [gains[n] for n in ALL]).statistic
    assert (found.n, found.rho) == (21, pytest.approx(rho))
    assert 0.2 < found.rho < 0.6, "it ranks loosely, and its interval still holds 0"
    assert found.low < 0 < found.high
    assert found.picked == "cosm100"
    assert found.regret == pytest.approx(max(gains.values()) - gains["cosm100"])


def test_one_that_is_not_computed_says_so(shipped_answers) -> None:
    stands = standing(Contest("synthetic", "target", "quick", SHIPPED), shipped_answers)
    found = guesses(stands, shipped_answers)
    ahead = next(one for one in found if one.title == LOOK_AHEAD)
    assert (ahead.found, ahead.note) == (None, "not computed yet")
    rows = shown(found, measure("synthetic", "target")).set_index("guess")
    assert set(rows.loc[LOOK_AHEAD]) == {"–"}
    assert notes(found) == [f"{LOOK_AHEAD}: not computed yet."]
    plain = table(found).set_index("predictor").loc[LOOK_AHEAD]
    assert np.isnan(plain["rho"])
    assert plain["note"] == "not computed yet"


def test_the_joint_run_is_short_and_has_the_budgets_rates() -> None:
    contest = Contest("synthetic", "target", "paper", SHIPPED)
    quick, paper = (settings.get("synthetic").preset(name) for name in ("quick", "paper"))
    config = look_ahead.joint(contest)
    assert (config.epochs, config.lr) == (quick.epochs, paper.lr)
    assert quick.epochs < paper.epochs
    assert set(config.auxiliaries) == set(SHIPPED)
    assert (config.optimizer, config.seeds, config.factors) == ("umtg", (0,), ())


def test_foretell_computes_what_is_not_known_once(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0

    def found(config: RunConfig, *, device: str, tell: Callable[[float], None] | None) -> LookAhead:
        nonlocal count
        count += 1
        place = {task: float(index) for index, task in enumerate(reversed(config.tasks))}
        epochs = {task: (value,) * config.epochs for task, value in place.items()}
        return LookAhead(epochs, looks(config))

    monkeypatch.setattr("mtl_core.training.look_ahead.look_ahead", found)
    known = mtl_core.foretell("synthetic", candidates=SHIPPED, compute=False)
    assert known["predictor"].tolist() == TITLES
    assert known.set_index("predictor").loc[LOOK_AHEAD, "note"] == "not computed yet"
    assert count == 0
    for _ in range(2):
        table = mtl_core.foretell("synthetic", candidates=SHIPPED).set_index("predictor")
        assert table.loc[LOOK_AHEAD, "picked"] == "cos100"
        assert table.loc[LOOK_AHEAD, "candidates"] == len(SHIPPED)
        assert table.loc[LOOK_AHEAD, "note"] == ""
    assert count == 1
    assert len([*own.glob("synthetic/target--*-0.json")]) == 1


def test_a_look_ahead_on_other_data_is_not_known(own: Path) -> None:
    config = look_ahead.joint(Contest("synthetic", "target", "quick", SHIPPED))
    epochs = dict.fromkeys(config.tasks, (0.5,) * config.epochs)
    for mark, there in (("0123456789abcdef", False), (fingerprint(config), True)):
        look_aheads.write(
            JointRun(config, LookAhead(epochs, looks(config)), {"data_fingerprint": mark})
        )
        assert (look_aheads.find(config) is not None) is there


def fingerprint(config: RunConfig) -> str:
    from mtl_core.runs import kinds

    return str(kinds.of(config).fingerprint(config))


# Label entropy.


def labelled(monkeypatch: pytest.MonkeyPatch, target: str = "cross_entropy") -> Contest:
    """Six tasks with labels of 1 to 6 classes; the last is a regression."""
    digits = settings.get("digits")
    base = digits.task("digits1")
    names = [f"t{place}" for place in range(1, 7)]
    tasks = [replace(base, name=name) for name in names]
    tasks[-1] = replace(tasks[-1], loss="squared_error", classes=1, metric="pearson")
    tasks.append(replace(base, name="goal", loss=target, metric="accuracy"))

    def load(asked: Any) -> dict[str, TaskData]:
        found = {}
        for name in asked:
            labels = np.arange(240) % (2 if name == "goal" else int(name[1:]))
            split = Split(np.zeros((240, 1, 8, 8), np.float32), labels)
            found[name] = TaskData(split, split, split)
        return found

    made = replace(
        digits, name="glue", tasks=tuple(tasks), default_target="goal", load=load,
        data_state=lambda: DataState("found", "made"),
    )  # fmt: skip
    monkeypatch.setitem(settings._SETTINGS, "glue", made)
    foretelling._entropies_of.clear()
    return Contest("glue", "goal", "quick", tuple(names))


def test_the_difference_is_the_candidates_entropy_minus_the_targets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = foretelling._entropies(labelled(monkeypatch))
    expected = {f"t{k}": np.log(k) - np.log(2) for k in range(1, 6)}
    assert found.values == pytest.approx(expected)
    assert found.note == "not defined for t6: a regression's labels are no classes"
    held = foretelling._held("x", found, {f"t{k}": float(k) for k in range(1, 7)})
    assert held.found is not None
    assert (held.found.n, held.found.rho) == (5, pytest.approx(1))
    assert held.note == found.note, "and says of which it says nothing"


def test_of_a_regression_nothing_is_defined(monkeypatch: pytest.MonkeyPatch) -> None:
    found = foretelling._entropies(labelled(monkeypatch, "squared_error"))
    assert found.values == {}
    assert found.note == "not defined: goal is a regression, its labels no classes"


def test_without_data_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    contest = labelled(monkeypatch)
    kept = settings.get("glue")
    away = replace(kept, data_state=lambda: DataState("missing", "get it"))
    monkeypatch.setitem(settings._SETTINGS, "glue", away)
    assert "not on this machine" in foretelling._entropies(contest).note

    def gone(_: Any) -> Any:
        raise DataMissing("it left")

    monkeypatch.setitem(settings._SETTINGS, "glue", replace(kept, load=gone))
    assert foretelling._entropies(contest).note == "it left"


def test_a_command_asks_what_a_page_asks() -> None:
    view = SimpleNamespace(
        setting="digits", target="digits2", candidates=("digits1",), preset="quick", most=16
    )
    assert foretelling.command(view) == (  # type: ignore[arg-type]
        "python -m mtl_core foretell --setting digits --target digits2 --candidates digits1 "
        "--preset quick --most 16"
    )
