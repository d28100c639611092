"""Optimizers: from runs to a verdict, and what the page says while there are none."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtl_core import RunConfig
from mtl_core.runs import Store
from mtl_core.trajectory import Row
from tests import stored
from tests.rows import row_of

ALICE = "1-alice"
TITLE = "When an optimizer makes a task generalize better, does it also optimize it better?"


@pytest.fixture(autouse=True)
def nothing_ships(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Artifacts come and go; what is tested here is in the store."""
    monkeypatch.setattr("mtl_core.runs.library.artifacts.cache_dir", lambda: tmp_path / "none")


@pytest.fixture
def put(store: Store) -> Callable[..., RunConfig]:
    """Puts a finished run into the store, whose loss falls to ``loss`` in ten checkpoints.

    E and factors are these from the first epoch on; a factor may have a value for each seed.
    """

    def finish(
        optimizer: str = "umtg",
        metric: float = 0.8,
        loss: float = 0.005,
        auxiliaries: tuple[str, ...] = ("digits2",),
        seeds: tuple[int, ...] = (0, 1, 2),
        lr: float = 0.01,
        epochs: int = 40,
        options: tuple[tuple[str, Any], ...] = (),
        **factors: float | Sequence[float],
    ) -> RunConfig:
        config = RunConfig.from_preset(
            "digits",
            "quick",
            auxiliaries=auxiliaries,
            optimizer=optimizer,
            options=options,
            seeds=seeds,
            lr=lr,
            epochs=epochs,
        )
        measured = {"sharpness": 2.0, "fisher_trace": 2.0, "gradient_covariance": 2.0} | factors
        count = max(10, epochs if epochs >= 50 else 10)
        rows = [
            _row(config, seed, task, place / count, metric, loss, measured)
            for place in range(count + 1)
            for seed in config.seeds
            for task in config.tasks
        ]
        return stored.put(store, config, stored.pieces_of(config, rows))

    return finish


def _row(
    config: RunConfig,
    seed: int,
    task: str,
    way: float,
    metric: float,
    loss: float,
    factors: dict[str, float | Sequence[float]],
) -> Row:
    """Only the target changes from run to run; its seeds lie a little apart, and so do changes."""
    target = task == config.target
    step = round(way * config.steps)
    apart = 1 + 0.02 * (seed - 1)
    lowest = loss * apart if target else 0.004
    gained = (metric - 0.8) * apart if target else 0.0
    measured = {
        name: None
        if not target
        else value * apart
        if isinstance(value, int | float)
        else value[seed]
        for name, value in factors.items()
    }
    return row_of(
        config,
        seed,
        task,
        step,
        train_loss=2.0 * (lowest / 2.0) ** way,
        val_metric=0.5,
        test_metric=0.8 + gained + 0.001 * seed,
        gradient_similarity=None,
        seconds=1.0,
        **measured,
    )


def sent(app) -> dict[str, str]:
    return {
        name: value[0] if isinstance(value, list) else value
        for name, value in dict(app.query_params).items()
    }


def badges(app) -> list[str]:
    """What the panels say, in order: badges are Markdown of the form :green-badge[…]."""
    found = [one.value for one in app.markdown if "-badge[" in one.value]
    texts = [
        text[: text.rindex("]")].rpartition(":material/")[2].partition(": ")[2] for text in found
    ]
    return [text for text in texts if ": " in text]


def answer(app) -> str:
    """What the runs say of the claim, with the reason."""
    said = [one.value for one in app.markdown]
    (place,) = [i for i, text in enumerate(said) if "The runs here" in text]
    return f"{said[place].rpartition('The runs here ')[2].rstrip(']')}: {said[place + 1]}"


def by_the_paper(app) -> str:
    (line,) = [text for text in captions(app) if text.startswith("**The paper's own rule**")]
    return line.partition("shade): ")[2]


def captions(app) -> list[str]:
    return [one.value for one in app.caption]


def links(app) -> list[str]:
    return [one.proto.label for one in app.get("page_link")]


def test_the_verdict_is_that_of_the_intervals(open_page, put) -> None:
    put()
    put("mean", metric=0.88, loss=0.0025, sharpness=3.0, fisher_trace=1.0)
    put("mgda", metric=0.7, loss=0.0075, sharpness=3.0, fisher_trace=3.0)
    app = open_page("smtos")
    assert app.title[0].value == TITLE
    assert len(app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")) == 5
    assert answer(app) == (
        "disagree: 2 of 4 changes of generalization are significant (Holm's correction for 4), 1 "
        "better and 1 worse; **minimum training loss and Fisher trace** can explain all of them; "
        "against at least one of them moves **sharpness**; no change was found that would rule out "
        "**gradient covariance**."
    )
    assert badges(app) == [
        "minimum training loss: can explain",
        "sharpness: moves the other way",
        "Fisher trace: can explain",
        "gradient covariance: no change found",
    ]
    said = captions(app)
    assert "digits1 under Mean: positive transfer, but sharpness worsens" in said
    assert "By the paper's rule: 1 of 2 significant changes lies in the shade." in said
    assert by_the_paper(app) == (
        "2 significant changes; ruled out: sharpness and gradient covariance; nothing speaks "
        "against minimum training loss and Fisher trace."
    )
    assert sent(app) == {"setting": "digits", "target": "digits1", "budget": "quick"}


def test_factors_that_move_the_other_way_agree_with_the_claim(open_page, put) -> None:
    rises = dict.fromkeys(("sharpness", "fisher_trace", "gradient_covariance"), 3.0)
    put()
    put("mean", metric=0.88, loss=0.0075, **rises)
    put("mgda", metric=0.7, loss=0.0075, **rises)
    app = open_page("smtos")
    assert answer(app).startswith("agree: 2 of 4 changes")
    assert {text.split(": ")[1] for text in badges(app)} == {"moves the other way"}


def test_changes_of_one_sign_tell_nothing(open_page, put) -> None:
    put()
    put("mean", metric=0.88, loss=0.0025, sharpness=3.0, fisher_trace=1.0)
    app = open_page("smtos")
    assert answer(app).startswith("cannot tell: 1 of 2 changes of generalization is significant")
    assert "there is no significant negative transfer" in answer(app)
    assert {text.split(": ")[1] for text in badges(app)} == {"not enough to tell"}
    assert "nothing speaks against minimum training loss and Fisher trace" in by_the_paper(app)


@pytest.mark.parametrize("draw", range(3))
def test_noise_explains_and_refutes_nothing(open_page, put, draw: int) -> None:
    """Three optimizers help and three harm, and every factor is drawn from one distribution."""
    chance = np.random.default_rng(draw)
    changes = {"umtg": 0.0, "mean": 0.08, "mgda": -0.08, "pcgrad": 0.06}
    changes |= {"cagrad": -0.06, "gradvac": 0.07, "dwa": -0.07}
    for name, change in changes.items():
        drawn = {
            factor: chance.normal(10.0, 1.0, size=5)
            for factor in ("sharpness", "fisher_trace", "gradient_covariance")
        }
        least = 0.005 + 0.0002 * chance.normal()
        put(name, metric=0.8 + change, loss=least, seeds=tuple(range(5)), **drawn)
    app = open_page("smtos")
    assert answer(app).startswith("cannot tell: 6 of 12 changes of generalization are significant")
    for factor in ("sharpness", "Fisher trace", "gradient covariance"):
        assert f"{factor}: no change found" in badges(app)
    assert "ruled out: " in by_the_paper(app)
    assert "support" not in " ".join([*captions(app), *(one.value for one in app.markdown)])


def test_sets_are_judged_together_unless_one_is_chosen(open_page, put) -> None:
    both = ("digits2", "noisy_digits")
    for auxiliaries in (("digits2",), both):
        put(auxiliaries=auxiliaries)
    put("mean", metric=0.88, loss=0.0025)
    put("mean", metric=0.7, loss=0.0025, auxiliaries=both)
    app = open_page("smtos")
    assert "2 of 5 changes of generalization are significant (Holm's correction for 5)" in answer(
        app
    )
    assert (
        "digits1 under Mean (auxiliaries: digits2 + noisy_digits): negative transfer, but minimum "
        "training loss improves" in captions(app)
    )
    assert "ruled out: minimum training loss" in by_the_paper(app)
    app.multiselect(key="smtos_sets").set_value([("digits2",)]).run()
    assert not app.exception
    assert sent(app)["aux"] == "digits2"
    assert "1 of 2 changes of generalization is significant (Holm's correction for 2)" in answer(
        app
    )
    linked = open_page("smtos", aux="digits2 noisy_digits")
    assert linked.multiselect(key="smtos_sets").value == [both]
    assert "0 better and 1 worse" in answer(linked)


def test_options_make_a_further_optimizer_and_choosing_hides_the_rest(open_page, put) -> None:
    put()
    put("mean", metric=0.88, loss=0.0025)
    put("mean", metric=0.7, loss=0.0025, options=(("scale", "match_sum"),))
    app = open_page("smtos")
    assert "2 of 4 changes" in answer(app)
    (each,) = [one.value for one in app.dataframe if "significant changes" in one.value]
    assert each["optimizer"].tolist() == ["Mean", "Mean · scale match_sum"]
    app.multiselect(key="smtos_entries").set_value(["mean:scale=match_sum"]).run()
    assert sent(app)["optimizer"] == "mean:scale=match_sum"
    assert "1 of 2 changes" in answer(app)
    assert "not here yet" not in " ".join(one.label for one in app.expander)


def test_nothing_significant_is_said_so(open_page, put) -> None:
    put()
    put("mean", metric=0.8, loss=0.0025)
    app = open_page("smtos")
    assert answer(app) == (
        "cannot tell: None of the 2 changes of generalization here is significant (Holm's "
        "correction for 2), so there is nothing to explain."
    )
    assert {text.split(": ")[1] for text in badges(app)} == {"not enough to tell"}
    assert by_the_paper(app) == "no change of generalization is significant."
    assert "By the paper's rule: no significant change of generalization." in captions(app)


def test_one_seed_cannot_be_significant(open_page, put) -> None:
    put(seeds=(0,))
    put("mean", metric=0.9, seeds=(0,))
    app = open_page("smtos")
    assert answer(app).startswith("cannot tell: None of the 2 changes")


def test_footnote_7_is_offered_for_long_runs(open_page, put) -> None:
    put()
    put("mean", metric=0.88)
    app = open_page("smtos", aggregate="footnote")
    assert answer(app).startswith("cannot tell: Footnote 7's means take runs of at least 50 whole")
    assert sent(app)["aggregate"] == "footnote"
    assert not app.info
    assert open_page("smtos").button_group(key="smtos_aggregate").proto.disabled
    long = [put(epochs=50), put("mean", metric=0.88, epochs=50)]
    app = open_page("smtos", aggregate="footnote", budget=long[0].baseline.id, target="digits1")
    assert "1 of 2 changes of generalization is significant" in answer(app)
    text = " ".join(one.value for one in app.markdown)
    assert "sharpness over 20, Fisher trace over 20 and gradient covariance over 20" in text


def test_what_is_missing_is_named_and_linked(open_page, put) -> None:
    put("mean", auxiliaries=("noisy_digits",))
    app = open_page("smtos", aux="digits2 noisy_digits,noisy_digits", optimizer="mean")
    assert app.info[0].value.startswith("There is no comparison yet for digits1 of Digits")
    assert "one of the plain sum (UMTG) and one of Mean" in app.info[0].value.replace(
        " (it is there)", ""
    )
    said = [one.value for one in app.markdown]
    assert "**digits1 with digits2 + noisy_digits**: UMTG (sum) and Mean." in said
    assert links(app)[0] == "Ask for them on What if, with digits2 + noisy_digits"
    link = app.get("page_link")[0].proto
    assert "optimizer=umtg+mean" in link.query_string
    assert "aux=digits2+noisy_digits" in link.query_string


def test_runs_in_the_queue_are_counted(open_page, put, store: Store) -> None:
    umtg = put(auxiliaries=("digits2", "noisy_digits"))
    store.submit(
        RunConfig.from_preset("digits", "quick", auxiliaries=umtg.auxiliaries, optimizer="mean")
    )
    app = open_page("smtos", aux="digits2 noisy_digits", optimizer="mean")
    said = " ".join(one.value for one in app.markdown)
    assert "Mean (1 of them in the queue or training)." in said


def test_an_empty_app_says_what_it_takes(open_page) -> None:
    app = open_page("smtos")
    assert app.title[0].value == TITLE
    assert "one of the plain sum (UMTG) and one of another optimizer" in app.info[0].value
    assert links(app) == ["Ask for them on What if, with digits2"]
    assert not app.warning


def test_a_budget_that_no_question_has_gets_its_command_line(open_page, store: Store) -> None:
    config = RunConfig.from_preset(
        "digits", "quick", auxiliaries=("digits2",), factors=("sharpness",), seeds=(0,)
    )
    row = _row(config, 0, "digits1", 0, 0.8, 0.5, {"sharpness": 1.0})
    unknown = {"fisher_trace": None, "gradient_covariance": None}
    stored.put(store, config, stored.pieces_of(config, [row | unknown]))
    app = open_page("smtos", budget=config.baseline.id, aux="digits2", optimizer="mean")
    assert "--optimizer mean" in app.code[0].value
    assert "--factors sharpness" in app.code[0].value


def test_nonsense_in_the_url_is_named_and_replaced(open_page, put) -> None:
    put()
    put("mean", metric=0.88, loss=0.0025)
    app = open_page("smtos", setting="digitz", optimizer="adam", aux="digits1", junk="1")
    lines = [warning.value for warning in app.warning]
    assert len(lines) == 4
    assert any("unknown setting 'digitz'" in line for line in lines)
    assert any("target 'digits1' is among its own auxiliaries" in line for line in lines)
    assert sent(app) == {"setting": "digits", "target": "digits1", "budget": "quick"}
    assert "1 of 2 changes" in answer(app)
    app.run()
    assert not app.warning, "said once"


def test_runs_that_are_removed_leave_the_page_standing(open_page, put, store: Store) -> None:
    umtg, mean = put(lr=0.002), put("mean", metric=0.88, lr=0.002)
    app = open_page("smtos")
    assert sent(app)["budget"] == umtg.baseline.id
    for config in (umtg, mean):
        store.remove(config.id)
    app.run()
    assert not app.exception
    assert not app.error
    assert "no finished run of digits1 has the budget" in app.warning[0].value
    assert sent(app)["budget"] == "quick"


def test_another_setting_is_another_selection(open_page, put) -> None:
    put()
    put("mean")
    app = open_page("smtos", aux="digits2", optimizer="mean")
    app.selectbox(key="smtos_setting").set_value("fashion").run()
    assert not app.exception
    assert sent(app)["setting"] == "fashion"
    assert sent(app)["target"] == "fashion1"
    assert "aux" not in sent(app)
    app.selectbox(key="smtos_target").set_value("fashion2").run()
    assert sent(app)["target"] == "fashion2"
    assert not app.exception


def test_how_it_was_computed_names_every_run(open_page, put) -> None:
    umtg, mean = put(), put("mean", metric=0.88, loss=0.0025)
    app = open_page("smtos")
    tables = [frame.value for frame in app.dataframe]
    (runs,) = [table for table in tables if "run" in table]
    assert set(runs["run"]) >= {mean.id}
    assert len(runs) == 2
    assert runs["optimizer"].tolist() == ["UMTG (sum)", "Mean"]
    assert umtg.id in set(runs["run"])
    (each,) = [table for table in tables if "significant changes" in table]
    assert each["minimum training loss"].tolist() == ["1 of 1"]
    text = " ".join(one.value for one in app.markdown)
    assert "10 best validation epochs" in text
    assert "lowest full training loss of a seed's whole trajectory" in text
