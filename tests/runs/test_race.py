"""A race's runs: what is asked for next, and how what is known decides it."""

import importlib
from collections.abc import Callable

import pytest

from mtl_core import InputError, RunConfig
from mtl_core.checks import with_seeds
from mtl_core.runs import Answers, Store
from mtl_core.runs.kinds import Piece
from mtl_core.runs.race import Contest, contests, race, reached, standing
from tests import stored
from tests.rows import row_of

module = importlib.import_module("mtl_core.runs.race")
GAINS = {"stl": 0.0, "digits2": 0.2, "noisy_digits": -0.1, "digits2+noisy_digits": 0.05}
NOISE = (0.001, -0.002, 0.0015, 0.0005, -0.001, 0.002, -0.0005, 0.0, 0.001, -0.0015)


def contest(**changes: object) -> Contest:
    return Contest("digits", "digits1", "quick", ("digits2", "noisy_digits"), **changes)  # type: ignore[arg-type]


def carry_out(store: Store, config: RunConfig, end: str = "done") -> None:
    """As a worker would."""
    stored.put(store, config, pieces(config), end, error=_WORDS.get(end))


def pieces(config: RunConfig) -> list[Piece]:
    """E of a run is what its auxiliaries give, and a little by its seed."""
    gain = GAINS[config.auxiliaries_label]
    rows = [
        row_of(
            config,
            seed,
            task,
            step,
            train_loss=1.0,
            val_metric=0.5,
            test_metric=0.7 + gain + NOISE[(seed + len(config.auxiliaries)) % 10],
            sharpness=None,
            fisher_trace=None,
            gradient_covariance=None,
            gradient_similarity=None,
        )
        for seed in config.seeds
        for task in config.tasks
        for step in (0, config.steps)
    ]
    return stored.pieces_of(config, rows)


_WORDS = {"failed": "it broke"}


@pytest.fixture
def answers(store: Store) -> Answers:
    return Answers(store, {})


def seeds_of(configs: list[RunConfig]) -> dict[str, tuple[int, ...]]:
    return {config.auxiliaries_label: config.seeds for config in configs}


def test_alone_each_candidate_and_all_together_race() -> None:
    asked = contest()
    assert [*asked.configs] == ["stl", "digits2", "noisy_digits", "digits2+noisy_digits"]
    assert asked.reference == "stl"
    preset = RunConfig.from_preset("digits", "quick", auxiliaries=("digits2",))
    assert asked.configs["digits2"].id == preset.id, "what What if has trained is known"
    one = Contest("digits", "digits1", "quick", ("digits2",))
    assert [*one.configs] == ["stl", "digits2"]


def test_the_first_look_takes_three_seeds_of_each(answers: Answers) -> None:
    found = standing(contest(), answers)
    assert seeds_of(found.next_runs) == dict.fromkeys(GAINS, (0, 1, 2))
    assert found.known == 0
    assert found.next_contest is None


def test_what_is_known_or_on_its_way_is_not_asked_for_again(store: Store, answers: Answers) -> None:
    asked = contest()
    carry_out(store, with_seeds(asked.configs["stl"], (0, 1, 2)))
    carry_out(store, with_seeds(asked.configs["digits2"], (1,)))
    store.submit(with_seeds(asked.configs["noisy_digits"], (0, 1, 2)))
    store.cancel(asked.configs["noisy_digits"].id, (2,))
    found = standing(asked, answers)
    assert seeds_of(found.next_runs) == {
        "digits2": (0, 2),
        "noisy_digits": (2,),
        "digits2+noisy_digits": (0, 1, 2),
    }
    assert [answer.config.auxiliaries_label for answer in found.active] == ["noisy_digits"]


def test_a_race_is_where_the_store_has_it_whoever_asks(store: Store, answers: Answers) -> None:
    asked = contest(margin=0.001)
    for config in asked.configs.values():
        carry_out(store, with_seeds(config, (0, 1, 2)))
    first = standing(asked, answers)
    again = standing(contest(margin=0.001), Answers(Store(store.path), {}))
    assert first.race == again.race
    assert first.race.looks == 1
    assert first.race.leader == "digits2"


def test_it_runs_to_a_winner_and_on_to_the_next_race(store: Store, answers: Answers) -> None:
    asked = contest()
    for _ in range(12):
        found = contests(asked, answers, grow=True)[-1]
        if not found.next_runs:
            break
        for config in found.next_runs:
            carry_out(store, config)
    first, second = contests(asked, answers, grow=True)
    assert (first.race.outcome, first.race.leader) == ("winner", "digits2")
    assert second.contest.given == ("digits2",)
    assert second.contest.candidates == ("noisy_digits",)
    assert (second.race.outcome, second.race.leader) == ("winner", "digits2")
    assert len(contests(asked, answers, grow=True)) == 2, "nothing more helps"
    assert first.known <= 4 * 10


def test_a_failed_run_leaves_the_race_until_it_is_tried_again(
    store: Store, answers: Answers
) -> None:
    asked = contest()
    for name, config in asked.configs.items():
        carry_out(store, with_seeds(config, (0, 1, 2)), "failed" if name == "digits2" else "done")
    found = standing(asked, answers)
    assert found.race.runner("digits2").state == "failed"
    assert seeds_of(found.failed) == {"digits2": (0, 1, 2)}
    assert "digits2" not in seeds_of(found.next_runs)


def test_only_seeds_from_the_first_on_count(store: Store, answers: Answers) -> None:
    config = contest().configs["stl"]
    carry_out(store, with_seeds(config, (0, 2)))
    assert reached(answers.find(config), answers) == pytest.approx([0.7 + NOISE[0]])
    carry_out(store, with_seeds(config, (1,)))
    assert reached(answers.find(config), answers) == pytest.approx(
        [0.7 + NOISE[i] for i in range(3)]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidates": ()}, "at least one candidate"),
        ({"candidates": ("digits1",)}, "'digits1' is no candidate"),
        ({"most": 2}, "2 seeds are too few for this race; give at least 3"),
        ({"margin": -1.0}, "margin -1 is below 0"),
    ],
)
def test_what_is_no_race_is_said(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Contest("digits", "digits1", "quick", **({"candidates": ("digits2",)} | change))  # type: ignore[arg-type]


# In notebooks.


@pytest.fixture
def worker(store: Store, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Carries out whatever is queued as soon as anybody looks after it; how many runs it had."""
    carried_out = []

    def tend(_: Store) -> None:
        for record in store.claim(stored.WORKER):
            store.save(record.key, stored.WORKER, pieces(record.config))
            store.finish(record.key, stored.WORKER, "done")
            carried_out.append(record.key)

    monkeypatch.setattr(module, "tend", tend)
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(module, "answers_here", lambda: answers)
    return lambda: len(carried_out)


def test_a_call_races_and_returns_a_table(worker: Callable[[], int]) -> None:
    lines: list[str] = []
    table = race("digits", margin=0.02, tell=lines.append)
    first = table.iloc[0]
    assert (first["auxiliaries"], first["state"], first["outcome"]) == (
        "digits2",
        "winner",
        "winner",
    )
    assert first["transfer"] == pytest.approx(0.2, abs=0.003)
    assert first["transfer_low"] < 0.2 < first["transfer_high"]
    assert set(table["auxiliaries"]) == set(GAINS)
    assert lines[0].startswith("race 1, look 0: 4 of 4 in the race, 0 runs known")
    assert lines[-1].endswith("winner")
    spent = worker()
    assert race("digits", margin=0.02)["state"].tolist() == table["state"].tolist()
    assert worker() == spent, "whatever is known costs nothing"


def test_a_call_that_trains_nothing_says_what_is_known(worker: Callable[[], int]) -> None:
    table = race("digits", "digits2", ["noisy_digits"], train=False)
    assert table["state"].tolist() == ["racing", "racing"]
    assert table["seeds"].tolist() == [0, 0]
    assert worker() == 0
    with pytest.raises(InputError, match="unknown task"):
        race("digits", candidates=["nope"], train=False)
