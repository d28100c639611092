"""Which auxiliary: a race and a matrix without a browser or a worker."""

from collections.abc import Callable

import pytest

from mtl_core import RunConfig
from mtl_core.checks import with_seeds
from mtl_core.runs import Store
from mtl_core.runs.look_ahead import Computing, joint
from mtl_core.views.which_auxiliary import RaceView

OTHER = "somebody else"
GAINS = {(): 0.0, ("digits2",): 0.15, ("noisy_digits",): -0.1, ("digits2", "noisy_digits"): 0.02}


def config(*auxiliaries: str, seeds: tuple[int, ...] = (0, 1, 2)) -> RunConfig:
    return RunConfig.from_preset("digits", "quick", auxiliaries=auxiliaries, seeds=seeds)


def press(app, name: str):
    next(button for button in app.button if button.label == name).click()
    app.run()
    assert not app.exception
    return app


def labels(app) -> list[str]:
    return [button.label for button in app.button]


def said(app) -> str:
    return "\n".join(one.value for one in app.markdown)


def sent(app) -> dict[str, str]:
    return {
        name: value[0] if isinstance(value, list) else value
        for name, value in dict(app.query_params).items()
    }


@pytest.fixture
def known(nothing_ships, finish: Callable[..., RunConfig]) -> None:
    """Three seeds of each, of which digits2 is far the best."""
    for auxiliaries, gain in GAINS.items():
        finish(config(*auxiliaries), gain=gain)


@pytest.mark.usefixtures("known")
def test_what_is_known_decides_without_a_run(open_page, store: Store) -> None:
    before = len(store.runs())
    app = open_page("which_auxiliary", setting="digits")
    assert app.title[0].value == "Which auxiliary task helps digits1?"
    assert "Train digits1 with digits2." in said(app)
    assert "better than with any other candidate and than alone: +15.0 pt" in said(app)
    assert any("Over, after 12 runs" in one.value for one in app.caption)
    (table,) = [frame.value for frame in app.dataframe]
    assert table["with"].tolist()[0] == "digits2"
    assert table["state"].tolist() == ["winner", "out", "out", "out"]
    assert len(store.runs()) == before


@pytest.mark.usefixtures("nothing_ships")
def test_run_asks_for_the_first_look_and_stop_takes_it_back(open_page, store: Store) -> None:
    app = open_page("which_auxiliary", setting="digits")
    assert "Not known yet" in said(app)
    assert any("12 networks to train for the next look" in one.value for one in app.caption)
    assert any("At most 40 runs more" in one.value for one in app.caption)
    press(app, "Run")
    queued = {(run.config.auxiliaries, run.seed) for run in store.runs(state="queued")}
    assert queued == {(auxiliaries, seed) for auxiliaries in GAINS for seed in range(3)}
    press(app, "Stop")
    assert {run.state for run in store.runs()} == {"cancelled"}
    assert "Resume" in labels(app.run())
    assert {run.state for run in store.runs()} == {"cancelled"}, "nothing starts again by itself"


@pytest.mark.usefixtures("nothing_ships")
def test_a_race_takes_up_what_it_takes_next_where_it_was_started_alone(
    open_page, store: Store, finish: Callable[..., RunConfig]
) -> None:
    app = press(open_page("which_auxiliary", setting="digits", margin="0"), "Run")
    for run in {run.config.id for run in store.runs()}:
        store.remove(run)
    for auxiliaries in GAINS:
        finish(config(*auxiliaries, seeds=(0, 1)))
    other = open_page("which_auxiliary", setting="digits", margin="0")
    assert store.runs(state="queued") == []
    assert "Run" in labels(other), "a link starts nothing"
    app.run()
    queued = {(run.config.auxiliaries, run.seed) for run in store.runs(state="queued")}
    assert queued == {(auxiliaries, 2) for auxiliaries in GAINS}


@pytest.mark.usefixtures("known")
def test_add_the_next_goes_on_beside_the_winner(open_page, store: Store) -> None:
    app = open_page("which_auxiliary", setting="digits", grow="true")
    assert "Race 2: one more beside digits2" in said(app)
    assert "with digits2 and nothing more" in said(app), "all together lost already"
    app.toggle(key="wa_grow").set_value(False).run()
    assert "grow" not in sent(app)


@pytest.mark.usefixtures("known")
def test_the_url_is_the_whole_question(open_page) -> None:
    view = RaceView(
        "digits", "digits2", candidates=("noisy_digits",), most=16, margin=0.5, grow=True
    )
    app = open_page("which_auxiliary", **view.to_query())
    assert sent(app) == view.to_query()
    assert app.multiselect(key="wa_candidates").value == ["noisy_digits"]
    assert app.number_input(key="wa_margin").value == 0.5
    app.selectbox(key="wa_target").set_value("digits1").run()
    assert sent(app) == {"setting": "digits", "target": "digits1", "preset": "quick"} | {
        "most": "16",
        "margin": "0.5",
        "grow": "true",
    }
    app.selectbox(key="wa_setting").set_value("synthetic").run()
    assert sent(app)["target"] == "target"
    assert not app.exception


@pytest.mark.usefixtures("nothing_ships")
def test_nonsense_in_the_url_is_named(open_page) -> None:
    app = open_page(
        "which_auxiliary", setting="digits", candidates="digits1", most="7", margin="-1", look="x"
    )
    lines = " ".join(one.value for one in app.warning)
    assert "'digits1' is the target" in lines
    assert "7 seeds are none of" in lines
    assert "margin -1 is not between" in lines
    assert "look" in lines


@pytest.mark.usefixtures("nothing_ships")
def test_failed_runs_are_said_and_can_be_tried_again(
    open_page, store: Store, finish: Callable[..., RunConfig]
) -> None:
    for auxiliaries in ((), ("digits2",), ("digits2", "noisy_digits")):
        finish(config(*auxiliaries), gain=GAINS[auxiliaries])
    broken = config("noisy_digits", seeds=(0,))
    store.submit(broken)
    for record in store.claim("1-alice"):
        store.finish(record.key, "1-alice", "failed", "it broke")
    app = open_page("which_auxiliary", setting="digits")
    assert "1 candidate could not be judged" in said(app)
    assert any("1 run failed, and left the race. it broke" in one.value for one in app.error)
    press(app, "Try them again")
    assert {run.config.id for run in store.runs(state="queued")} == {broken.id}


# Whether it could have been foretold.

FIVE = ("cos100", "cos75", "cos50", "cos25", "cos0")
AHEAD = "Compute look-ahead affinity"


def foretold(app):
    """The table of guesses, by guess."""
    (found,) = [frame.value for frame in app.dataframe if "guess" in frame.value]
    return found.set_index("guess")


def test_of_two_candidates_nothing_is_foretold_and_that_is_said(open_page) -> None:
    app = open_page("which_auxiliary", setting="digits")
    assert any("it takes 5 candidates" in one.value for one in app.caption)
    assert not any("rank correlation" in frame.value for frame in app.dataframe)


def test_what_ships_of_synthetic_has_every_predictor_at_once(open_page) -> None:
    app = open_page("which_auxiliary", setting="synthetic")
    table = foretold(app)
    assert table.index.tolist() == [
        "Gradient similarity, early",
        "Gradient similarity, mean",
        "Look-ahead affinity",
        "Label entropy, difference",
        "True cosine, its size",
    ]
    assert set(table["candidates"]) == {"21"}
    ahead = table.loc["Look-ahead affinity"]
    assert ahead["rank correlation"] == "+0.39"
    assert ahead["95 % interval"] == "-0.07 … +0.71"
    assert (ahead["R²"], ahead["R², 95 %"]) == ("0.44", "0.11 … 0.73")
    assert (ahead["would have picked"], ahead["regret"]) == ("cosm100", "0.3 pt")
    assert not any("not computed yet" in one.value for one in app.caption)
    assert AHEAD not in labels(app)
    assert any("mtl_core foretell --setting synthetic" in one.value for one in app.code)


def test_look_ahead_is_computed_when_somebody_asks(
    open_page, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[RunConfig] = []
    now: dict[str, Computing] = {}

    def start(config: RunConfig, starter: str) -> str | None:
        begun.append(config)
        now[config.id] = Computing(True, 0.25, starter)
        return None

    monkeypatch.setattr("mtl_core.runs.look_ahead.start", start)
    monkeypatch.setattr("mtl_core.runs.look_ahead.computing", lambda config: now.get(config.id))
    view = RaceView("synthetic", "target", candidates=FIVE)
    app = open_page("which_auxiliary", **view.to_query())
    table = foretold(app)
    assert set(table.loc["Look-ahead affinity"]) == {"–"}
    assert any(one.value == "Look-ahead affinity: not computed yet." for one in app.caption)
    assert set(table.loc["True cosine, its size"]).isdisjoint({"–"})
    line = "One run of target with all 5 candidates together, 15 epochs, about "
    assert any(one.value.startswith(line) for one in app.caption)
    assert begun == [], "a link starts nothing"
    press(app, AHEAD)
    assert begun == [joint(view.contest)]
    assert AHEAD not in labels(app)
    assert "Stop looking ahead" in labels(app)
    assert sent(app) == view.to_query(), "the question is the same"
    assert store.runs() == []
    now[begun[0].id] = Computing(False, 0.25, "", "it diverged; choose another budget")
    app.run()
    assert any("it diverged" in one.value for one in app.error)
    assert AHEAD in labels(app)


def test_a_server_computes_one_at_a_time_and_within_bounds(
    open_page, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[RunConfig] = []
    said = "a look-ahead is being computed; try again when it is there"

    def busy(config: RunConfig, starter: str) -> str:
        begun.append(config)
        return said

    monkeypatch.setattr("mtl_core.runs.look_ahead.start", busy)
    view = RaceView("synthetic", "target", candidates=FIVE)
    app = press(open_page("which_auxiliary", **view.to_query()), AHEAD)
    assert any(said in one.value for one in app.warning)
    assert len(begun) == 1
    monkeypatch.setattr("mtl_core.views.asking.LEAST_FREE", 2**80)
    monkeypatch.setenv("MTL_SHARED", "1")
    press(app, AHEAD)
    assert any("disk is nearly full" in one.value for one in app.warning)
    assert len(begun) == 1
    going = Computing(True, 0.5, OTHER)
    monkeypatch.setattr("mtl_core.runs.look_ahead.computing", lambda config: going)
    app.run()
    (stop,) = [button for button in app.button if button.label == "Stop looking ahead"]
    assert stop.disabled, "another visitor's"


# What a stranger may do.


@pytest.mark.usefixtures("nothing_ships")
def test_a_race_has_a_visitors_share_of_the_queue(
    open_page, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_SHARED", "1")
    app = open_page("which_auxiliary", setting="synthetic", look="pairs")
    press(app, "Run")
    assert store.runs() == []
    assert any("200 is the most" in one.value for one in app.warning)
    store.submit(with_seeds(config("digits2"), tuple(range(64))), visitor=OTHER)
    app = open_page("which_auxiliary", setting="digits")
    press(app, "Run")
    (stop,) = [button for button in app.button if button.label == "Stop"]
    stop.click().run()
    states = {run.visitor: run.state for run in store.runs() if run.seed == 10}
    assert states == {OTHER: "queued"}, "another's runs are not stopped"


@pytest.mark.usefixtures("nothing_ships")
def test_a_race_waits_for_room_in_the_queue(
    open_page, store: Store, finish: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = press(open_page("which_auxiliary", setting="digits"), "Run")
    for run in {run.config.id for run in store.runs()}:
        store.remove(run)
    for auxiliaries in GAINS:
        finish(config(*auxiliaries, seeds=(0, 1)))
    with monkeypatch.context() as full:
        full.setattr("mtl_core.views.asking.LEAST_FREE", 2**80)
        full.setenv("MTL_SHARED", "1")
        app.run()
    assert store.runs(state="queued") == []
    assert any("The race waits: this server's disk is" in one.value for one in app.warning)
    app.run()
    assert len(store.runs(state="queued")) == 4
    assert not app.warning


# The matrix.


@pytest.mark.usefixtures("known")
def test_the_matrix_shows_what_is_known_and_asks_for_the_rest_once(open_page, store: Store) -> None:
    app = open_page("which_auxiliary", setting="digits", look="pairs", seeds="2")
    assert app.title[0].value == "Which tasks of Digits help each other?"
    assert "Of 6 pairs, 2 are known: **1** help, **1** harm" in said(app)
    # digits2 and noisy_digits alone, and the one pair of the two.
    assert any("6 networks to train" in one.value for one in app.caption)
    before = {run.key for run in store.runs()}
    press(app, "Run")
    new = [run for run in store.runs() if run.key not in before]
    assert {(run.config.target, run.config.auxiliaries) for run in new} == {
        ("digits2", ()),
        ("noisy_digits", ()),
        ("digits2", ("noisy_digits",)),
    }
    app.toggle(key="wa_clustered").set_value(True).run()
    assert sent(app)["clustered"] == "true"
    assert not app.exception
