"""SMTOs: from runs to a verdict, and what the page says while there are none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtl_core import RunConfig
from mtl_core.runs import Store
from mtl_core.trajectory import Row
from tests import stored

ALICE = "1-alice"
TITLE = "When an optimizer makes a task generalize better, does it also optimize it better?"


@pytest.fixture(autouse=True)
def nothing_ships(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Artifacts come and go; what is tested here is in the store."""
    monkeypatch.setattr("mtl_core.runs.library.artifacts.cache_dir", lambda: tmp_path / "none")


@pytest.fixture
def put(store: Store) -> Callable[..., RunConfig]:
    """Puts a finished run into the store, with these values at its end."""

    def finish(
        optimizer: str = "umtg",
        metric: float = 0.8,
        loss: float = 0.5,
        auxiliaries: tuple[str, ...] = ("digits2",),
        seeds: tuple[int, ...] = (0, 1, 2),
        lr: float = 0.003,
        options: tuple[tuple[str, Any], ...] = (),
        **factors: float,
    ) -> RunConfig:
        config = RunConfig.from_preset(
            "digits",
            "quick",
            auxiliaries=auxiliaries,
            optimizer=optimizer,
            options=options,
            seeds=seeds,
            lr=lr,
        )
        measured = {"sharpness": 2.0, "fisher_trace": 2.0, "gradient_covariance": 2.0} | factors
        rows = [
            _row(config, seed, task, step, metric, loss, measured)
            for step in (0, config.steps)
            for seed in config.seeds
            for task in config.tasks
        ]
        return stored.put(store, config, stored.pieces_of(config, rows))

    return finish


def _row(
    config: RunConfig,
    seed: int,
    task: str,
    step: int,
    metric: float,
    loss: float,
    factors: dict[str, float],
) -> Row:
    """Only the target changes from run to run; its seeds lie a little apart."""
    target = task == config.target
    measured = dict.fromkeys(factors) if not target else factors
    return Row(
        setting=config.setting,
        auxiliaries=config.auxiliaries_label,
        optimizer=config.optimizer,
        seed=seed,
        task=task,
        role="target" if target else "auxiliary",
        step=step,
        epoch=step / config.steps_per_epoch,
        whole_epoch=step > 0 and step % config.steps_per_epoch == 0,
        train_loss=loss if target else 0.4,
        val_metric=0.5,
        test_metric=(metric if target else 0.6) + 0.001 * seed,
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
    return [text for text in texts if text not in ("measured", "reduced")]  # of the whole figure


def captions(app) -> list[str]:
    return [one.value for one in app.caption]


def links(app) -> list[str]:
    return [one.proto.label for one in app.get("page_link")]


def test_the_verdict_is_that_of_the_points(open_page, put) -> None:
    put()
    put("mean", metric=0.88, loss=0.25, sharpness=3.0, fisher_trace=1.0)
    app = open_page("smtos")
    assert app.title[0].value == TITLE
    assert len(app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")) == 5
    told = app.markdown[0].value
    assert told == (
        "**Minimum training loss and Fisher trace can explain** the one significant change of "
        "generalization. Taken one by one, some factor can explain Mean."
    )
    assert badges(app) == [
        "minimum training loss: can explain",
        "sharpness: cannot explain",
        "Fisher trace: can explain",
        "gradient covariance: cannot explain",
    ]
    said = captions(app)
    assert (
        "1 of 1 significant change lies in the shade: nothing here speaks against Fisher trace."
        in said
    )
    assert (
        "0 of 1 significant change lie in the shade, so sharpness does not explain what "
        "optimizers do to generalization." in said
    )
    assert sent(app) == {"setting": "digits", "target": "digits1", "budget": "quick"}


def test_two_sets_are_pooled_unless_one_is_chosen(open_page, put) -> None:
    both = ("digits2", "noisy_digits")
    for auxiliaries in (("digits2",), both):
        put(auxiliaries=auxiliaries)
    put("mean", metric=0.88, loss=0.25)
    put("mean", metric=0.7, loss=0.25, auxiliaries=both)
    app = open_page("smtos")
    assert "**No factor explains** both significant changes" in app.markdown[0].value
    assert "none does so for Mean" in app.markdown[0].value
    app.multiselect(key="smtos_sets").set_value([("digits2",)]).run()
    assert not app.exception
    assert sent(app)["aux"] == "digits2"
    assert "**Minimum training loss can explain** the one" in app.markdown[0].value
    linked = open_page("smtos", aux="digits2 noisy_digits")
    assert linked.multiselect(key="smtos_sets").value == [both]
    assert "**No factor explains** the one" in linked.markdown[0].value


def test_options_make_a_further_optimizer_and_choosing_hides_the_rest(open_page, put) -> None:
    put()
    put("mean", metric=0.88, loss=0.25)
    put("mean", metric=0.7, loss=0.25, options=(("scale", "match_sum"),))
    app = open_page("smtos")
    assert "both significant changes" in app.markdown[0].value
    assert "some factor can explain Mean; none does so for Mean · scale match_sum" in (
        app.markdown[0].value
    )
    app.multiselect(key="smtos_entries").set_value(["mean:scale=match_sum"]).run()
    assert sent(app)["optimizer"] == "mean:scale=match_sum"
    assert "the one significant change" in app.markdown[0].value
    assert "not here yet" not in " ".join(one.label for one in app.expander)


def test_nothing_significant_is_said_so(open_page, put) -> None:
    put()
    put("mean", metric=0.8005, loss=0.25)
    app = open_page("smtos")
    assert app.markdown[0].value.startswith("**Nothing to explain:**")
    assert {text.split(": ")[1] for text in badges(app)} == {"nothing to explain"}
    assert "No significant change of generalization." in captions(app)


def test_one_seed_cannot_be_significant(open_page, put) -> None:
    put(seeds=(0,))
    put("mean", metric=0.9, seeds=(0,))
    app = open_page("smtos")
    assert app.markdown[0].value == (
        "**Nothing can be called significant:** that takes runs of two seeds or more."
    )


def test_what_is_missing_is_named_and_linked(open_page, put) -> None:
    put("mean", auxiliaries=("noisy_digits",))
    app = open_page("smtos", aux="digits2 noisy_digits,noisy_digits", optimizer="mean")
    assert app.info[0].value.startswith("There is no comparison yet for digits1 of Digits")
    assert "one of UMTG and one of Mean" in app.info[0].value.replace(" (it is there)", "")
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
    assert "one of UMTG and one of another optimizer" in app.info[0].value
    assert links(app) == ["Ask for them on What if, with digits2"]
    assert not app.warning


def test_a_budget_that_no_question_has_gets_its_command_line(open_page, store: Store) -> None:
    config = RunConfig.from_preset(
        "digits", "quick", auxiliaries=("digits2",), factors=("sharpness",), seeds=(0,)
    )
    row = _row(config, 0, "digits1", 0, 0.8, 0.5, {"sharpness": 1.0, "fisher_trace": None,
                                                   "gradient_covariance": None})  # fmt: skip
    stored.put(store, config, stored.pieces_of(config, [row]))
    app = open_page("smtos", budget=config.baseline.id, aux="digits2", optimizer="mean")
    assert "--optimizer mean" in app.code[0].value
    assert "--factors sharpness" in app.code[0].value


def test_nonsense_in_the_url_is_named_and_replaced(open_page, put) -> None:
    put()
    put("mean", metric=0.88, loss=0.25)
    app = open_page("smtos", setting="digitz", optimizer="adam", aux="digits1", junk="1")
    lines = [warning.value for warning in app.warning]
    assert len(lines) == 4
    assert any("unknown setting 'digitz'" in line for line in lines)
    assert any("target 'digits1' is among its own auxiliaries" in line for line in lines)
    assert sent(app) == {"setting": "digits", "target": "digits1", "budget": "quick"}
    assert "can explain" in app.markdown[0].value
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
    umtg, mean = put(), put("mean", metric=0.88, loss=0.25)
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
    assert "10 best validation checkpoints" in text
    assert "lowest full training loss of the whole trajectory" in text
