import numpy as np

from mtl_core import RunConfig, optimizers
from mtl_core.runs import Store
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.artifacts import scan
from mtl_core.training.schedule import factor_steps
from mtl_core.views.what_if import Question
from tests import stored


def labels(app) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def sent(app) -> dict[str, str]:
    """The query string; AppTest gives what the page has set as lists."""
    return {
        name: value[0] if isinstance(value, list) else value
        for name, value in dict(app.query_params).items()
    }


def press(app, name: str):
    next(button for button in app.button if button.label == name).click()
    app.run()
    assert not app.exception
    return app


def test_the_first_paint_is_an_answer(open_page) -> None:
    app = open_page("what_if")
    assert app.title[0].value == "What if target is trained together with cos100?"
    (transfer,) = (one for one in app.metric if one.label == "Transfer ΔE")
    assert transfer.value.endswith(" pt")
    assert transfer.delta.endswith(" · better"), "plain to see"
    assert sent(app)["setting"] == "synthetic"


def test_run_submits_the_question_and_its_baseline_once(open_page, store: Store) -> None:
    app = open_page("what_if", setting="digits", aux="noisy_digits", lr="0.002", seeds="4 5")
    press(app, "Run")
    expected = RunConfig.from_preset(
        "digits", "quick", auxiliaries=("noisy_digits",), lr=0.002, seeds=(4, 5)
    )
    assert {record.config.id for record in store.runs()} == {expected.id, expected.baseline.id}
    queued = [(r.config.auxiliaries_label, r.seed) for r in reversed(store.runs())]
    assert queued == [("stl", 4), ("stl", 5), ("noisy_digits", 4), ("noisy_digits", 5)]
    assert len({record.question for record in store.runs()}) == 1
    assert [button.label for button in app.button if button.label in ("Run", "Stop")] == ["Stop"]


def test_stop_takes_both_out_of_the_queue(open_page, store: Store) -> None:
    app = press(open_page("what_if", setting="digits", aux="noisy_digits", lr="0.002"), "Run")
    press(app, "Stop")
    assert {record.state for record in store.runs()} == {"cancelled"}
    assert any(button.label == "Resume" for button in app.button)


def test_widgets_change_the_question_and_the_url(open_page) -> None:
    app = open_page("what_if", setting="digits")
    app.toggle(key="wi_aux_noisy_digits").set_value(True).run()
    assert sent(app)["aux"] == "digits2 noisy_digits"
    app.selectbox(key="wi_target").set_value("digits2").run()
    assert sent(app)["target"] == "digits2"
    assert sent(app)["aux"] == "noisy_digits"
    app.number_input(key="wi_epochs").set_value(7).run()
    assert sent(app)["epochs"] == "7"
    app.number_input(key="wi_epochs").set_value(40).run()
    assert "epochs" not in sent(app)
    app.text_input(key="wi_seeds").set_value("3, 4").run()
    assert sent(app)["seeds"] == "3 4"
    app.text_input(key="wi_seeds").set_value("three").run()
    assert sent(app)["seeds"] == "3 4"
    assert "seed 'three' is not a whole number" in app.error[0].value
    app.selectbox(key="wi_setting").set_value("fashion").run()
    assert sent(app)["target"] == "fashion1"
    assert not app.exception


def test_limits_hold_also_where_the_browser_does_not_enforce_them(open_page, store: Store) -> None:
    app = open_page("what_if", setting="digits")
    app.number_input(key="wi_batch_size").set_value(100_000).run()
    message = "batch size 100000 is larger than the 250 training examples of a task"
    assert message in app.error[0].value
    assert not any(button.label == "Run" for button in app.button)
    assert store.runs() == []


def test_the_url_opens_the_same_question(open_page) -> None:
    question = Question(
        "digits",
        "digits2",
        ("digits1", "noisy_digits"),
        preset="standard",
        optimizers=("mean",),
        seeds=(5,),
        overrides={"lr": 0.01, "samples": 100, "base_optimizer": "sgd"},
        options={"mean": {"scale": "match_sum"}},
        per_seed=True,
    )
    app = open_page("what_if", **question.to_query())
    assert app.title[0].value.startswith("What if digits2 is trained together with digits1 and")
    assert app.multiselect(key="wi_optimizers").value == ["mean"]
    assert app.segmented_control(key="wi_option_mean_scale").value == "match_sum"
    assert app.selectbox(key="wi_base_optimizer").value == "sgd"
    assert app.number_input(key="wi_lr").value == 0.01
    assert app.number_input(key="wi_samples").value == 100
    assert app.toggle(key="wi_per_seed").value is True
    assert sent(app) == question.to_query()


def test_rho_is_one_of_the_papers_or_that_of_the_address(open_page) -> None:
    app = open_page("what_if", setting="digits")
    assert app.selectbox(key="wi_sharpness_rho").options == ["0.001", "0.005", "0.01", "0.1"]
    app.selectbox(key="wi_sharpness_rho").set_value(0.01).run()
    assert sent(app)["sharpness_rho"] == "0.01"
    assert "--rho 0.01" in next(code.value for code in app.code if "mtl_core run" in code.value)
    app.selectbox(key="wi_sharpness_rho").set_value(0.001).run()
    assert "sharpness_rho" not in sent(app)
    app = open_page("what_if", setting="digits", sharpness_rho="0.002")
    assert app.selectbox(key="wi_sharpness_rho").value == 0.002
    assert app.selectbox(key="wi_sharpness_rho").options[:3] == ["0.001", "0.002", "0.005"]


def test_a_pin_that_nobody_knows_is_named(open_page) -> None:
    app = open_page("what_if", setting="digits", pins="0123456789abcdef")
    assert "0123456789abcdef is not in this store" in app.warning[0].value


def test_a_single_task_has_no_transfer(open_page) -> None:
    app = open_page("what_if", setting="digits", aux="")
    assert labels(app)["Transfer ΔE"] == "–"
    assert app.title[0].value == "What does digits1 reach alone?"


def words(app) -> str:
    return "\n".join(part.value for part in (*app.caption, *app.markdown, *app.warning, *app.info))


def test_factors_say_what_they_can_explain(open_page) -> None:
    app = open_page("what_if", setting="digits")
    assert app.segmented_control(key="wi_look").value == "factors"
    text = words(app)
    assert "Can a factor explain the transfers on this page?" in text
    for factor in ("sharpness", "Fisher trace", "gradient covariance"):
        assert f"{factor}: not enough to tell" in text, "digits2's transfer is not significant"
    assert "the transfer is not significant" in text
    assert not any("phase" in frame.value for frame in app.dataframe), "nobody looks at it yet"
    app.session_state["wi_differences_open"] = True
    app.run()
    table = next(frame.value for frame in app.dataframe if "phase" in frame.value)
    assert list(table["phase"]) == ["end", "early", "end"]
    assert all(" … " in one for one in table["95 % interval"])
    assert list(table["measurements in it"]).count("–") == 0
    assert "worst-case adaptive ℓ∞ sharpness (M24 Eq. 3)" in text, "how it was measured here"


def test_views_are_part_of_the_url(open_page) -> None:
    app = open_page("what_if", setting="digits")
    app.segmented_control(key="wi_x").set_value("epoch").run()
    assert sent(app)["x"] == "epoch"
    app.segmented_control(key="wi_look").set_value("correlation").run()
    assert sent(app)["look"] == "correlation"
    app.segmented_control(key="wi_against").set_value("test_metric").run()
    assert sent(app)["against"] == "test_metric"
    assert not app.exception


def test_a_correlation_over_few_runs_is_called_one(open_page) -> None:
    app = open_page("what_if", look="correlation", setting="fashion", preset="standard")
    # fashion2 and noisy_fashion ship at this budget; a line through two points says nothing.
    assert labels(app)["Runs"] == "2"
    assert labels(app)["Pearson r"] == "–"
    assert "2 auxiliary sets with a finished run are fewer than 20" in words(app)


def test_a_correlation_counts_every_optimizers_runs(open_page) -> None:
    app = open_page("what_if", setting="digits", look="correlation")
    shipped = [
        artifact
        for artifact in scan()[0].values()
        if artifact.config.kind == "training"
        and artifact.config.setting == "digits"
        and artifact.config.target == "digits1"
        and artifact.config.auxiliaries
        and artifact.config.epochs == 40
    ]
    assert len(shipped) == 3 * len(optimizers.names()), "every set of auxiliaries ships with each"
    unmeasured = [one for one in shipped if any("gradient_similarity" in n for n in one.notes)]
    assert 0 <= len(shipped) - int(labels(app)["Runs"]) <= len(unmeasured) < 5
    assert "3 auxiliary sets with a finished run are fewer than 20" in words(app), "sets, not runs"
    assert "r given K" in labels(app), "sets of two and of three tasks"


def test_gradients_show_every_pair_at_a_step(open_page) -> None:
    app = open_page("what_if", setting="digits", look="gradients")
    (slider,) = app.select_slider
    steps = factor_steps(Question.default("digits").config)
    assert len(slider.options) == len(steps) == 8
    assert slider.value == steps[-1]
    slider.set_value(steps[0])
    app.run()
    assert not app.exception
    assert app.select_slider[0].value == steps[0]
    alone = open_page("what_if", setting="digits", look="gradients", aux="")
    assert "Toggle an auxiliary task to see the cosine of its gradient" in words(alone)


def carried_out(store: Store, question: Question) -> None:
    """All runs of a question, really trained."""
    for config in {question.config.baseline, *question.configs}:
        stored.put(store, config, stored.solved(config))


TINY = {"epochs": 1, "samples": 64, "held_out": 50, "batch_size": 16, "width": 2}


def test_optimizers_are_shown_beside_umtg_and_told_when_they_coincide(
    open_page, store: Store
) -> None:
    question = Question(
        "digits", "digits1", ("digits2",), optimizers=("mean",), seeds=(0,), look="optimizers",
        overrides=TINY,
    )  # fmt: skip
    carried_out(store, question)
    app = open_page("what_if", **question.to_query())
    table = app.dataframe[-1].value
    assert list(table["curve"]) == ["single task", "+ digits2", "+ digits2 · Mean"]
    assert set(table["state"]) == {"done"}
    assert app.selectbox(key="wi_weights_of").value == "+ digits2 · Mean"
    (line,) = [info.value for info in app.info]
    assert line.startswith("**UMTG (sum)** and **Mean** nearly coincide: their weights differ by")
    # Adam makes a constant factor of the update fall out of the trajectory, as the page says.
    answers = Answers(store, {})
    losses = [
        answers.main(answers.find(config))["train_loss"].to_numpy() for config in question.configs
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
    app.multiselect(key="wi_optimizers").set_value([]).run()
    assert sent(app)["optimizer"] == "umtg"
    assert not app.info


def test_options_of_an_optimizer_are_part_of_the_question(open_page) -> None:
    app = open_page("what_if", setting="digits", optimizer="umtg mean", look="optimizers")
    app.segmented_control(key="wi_option_mean_scale").set_value("match_sum").run()
    assert sent(app)["mean.scale"] == "match_sum"
    assert "Their options (1 changed)" in [expander.label for expander in app.expander]
    app.segmented_control(key="wi_option_mean_scale").set_value("raw").run()
    assert "mean.scale" not in sent(app)


def test_a_single_task_has_nothing_to_combine(open_page) -> None:
    app = open_page("what_if", setting="digits", aux="", look="optimizers")
    assert app.multiselect(key="wi_optimizers").disabled
    assert "A single task has nothing to combine: toggle an auxiliary task." in words(app)


def test_many_auxiliaries_are_chosen_from_a_list(open_page) -> None:
    app = open_page("what_if", setting="cifar100", target="fish", aux="trees flowers")
    chooser = app.multiselect(key="wi_auxiliaries")
    assert chooser.value == ["trees", "flowers"]
    assert len(chooser.options) == 19
    assert "fish" not in chooser.options
    chooser.set_value(["trees", "insects", "flowers"]).run()
    assert sent(app)["aux"] == "flowers insects trees"
    app.multiselect(key="wi_auxiliaries").set_value([]).run()
    assert app.title[0].value == "What does fish reach alone?"
    assert not any(toggle.key.startswith("wi_aux") for toggle in app.toggle)


def test_relatedness_is_shown_before_training(open_page) -> None:
    app = open_page("what_if", setting="synthetic", aux="cos50_noise20 cosm100")
    (about,) = (one.value for one in app.caption if "cosine" in one.value)
    assert about.splitlines() == [
        "- cos50_noise20: cosine 0.50 (measured 0.49), 20% of labels wrong, 43% as for the target",
        "- cosm100: cosine -1.00 (measured -1.00), 0% of labels wrong, 0% as for the target",
    ]
    app.multiselect(key="wi_auxiliaries").set_value([]).run()
    assert not any("cosine" in one.value for one in app.caption)
    assert not app.exception


def test_a_pin_from_when_seeds_were_a_part_of_ids_shows_the_same_curve(open_page) -> None:
    """``0abbe0a1ea1aa9f6`` was digits1 with digits2 by Mean, quick, seeds 0 1 2."""
    app = open_page("what_if", setting="digits", aux="noisy_digits", pins="0abbe0a1ea1aa9f6")
    rows = app.dataframe[-1].value.set_index("curve")
    (label,) = [name for name in rows.index if name.startswith("+ digits2 · Mean")]
    assert "lr 0.003" in label
    pinned = rows.loc[label]
    assert (pinned["pinned"], pinned["seeds"], pinned["state"]) == (True, "0 1 2", "done")
    assert pinned["source"] == "shipped"


def test_add_seeds_asks_for_as_many_again_and_runs_only_these(open_page, store: Store) -> None:
    app = open_page(
        "what_if", setting="digits", aux="noisy_digits", seeds=" ".join(map(str, range(20)))
    )
    assert "Answered already" in words(app)
    press(app, "Add seeds")
    assert sent(app)["seeds"] == " ".join(map(str, range(40)))
    queued = sorted((r.config.auxiliaries_label, r.seed) for r in store.runs())
    assert queued == [(name, seed) for name in ("noisy_digits", "stl") for seed in range(20, 40)]
    assert {record.state for record in store.runs()} == {"queued"}
