"""The schedule: curves of a question grow together, and questions share the time."""

from collections import Counter
from dataclasses import dataclass, field

import pytest

from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.schedule import FIRST_SECONDS, Going, Schedule

SLICE = 0.5


def run(
    experiment: str,
    seed: int = 0,
    *,
    step: int = 0,
    steps: int = 100,
    question: str = "q",
    asked_at: float = 0.0,
    busy: bool = False,
    visitor: str = "",
) -> Going:
    return Going(Key(experiment, seed), question, asked_at, step, steps, busy, visitor)


@dataclass
class Simulation:
    """Processes that carry out slices of runs, each step of which takes as long as is said."""

    processes: int = 1
    schedule: Schedule = field(default_factory=Schedule)
    going: list[Going] = field(default_factory=list)
    speed: dict[Key, float] = field(default_factory=dict)  # steps in a slice
    time: float = 0.0
    under_way: dict[Key, float] = field(default_factory=dict)  # when each slice ends
    ended: dict[Key, float] = field(default_factory=dict)
    begun: list[tuple[float, Key]] = field(default_factory=list)
    spent: Counter[str] = field(default_factory=Counter)
    had: Counter[str] = field(default_factory=Counter)  # by visitor

    def add(self, *runs: Going, speed: float = 10.0) -> None:
        self.going += runs
        self.speed |= {one.key: speed for one in runs}

    def turn(self) -> None:
        """Begin what can begin, and end the slice that is over first."""
        while len(self.under_way) < self.processes:
            chosen = self.schedule.choose(self.going)
            if chosen is None:
                break
            chosen.busy = True
            self.begun.append((self.time, chosen.key))
            self.under_way[chosen.key] = self.time + (SLICE if chosen.step >= 0 else SLICE / 10)
        key = min(self.under_way, key=self.under_way.__getitem__)
        took = SLICE if self.run(key).step >= 0 else SLICE / 10
        self.time = self.under_way.pop(key)
        one = self.run(key)
        one.busy = False
        self.schedule.charge(one.visitor, one.question, took)
        self.spent[one.question] += took
        self.had[one.visitor] += took
        one.step = 0 if one.step < 0 else min(one.steps, one.step + int(self.speed[key]))
        if one.step == one.steps:
            self.going.remove(one)
            self.ended[key] = self.time

    def run(self, key: Key) -> Going:
        return next(one for one in self.going if one.key == key)


def test_nothing_is_chosen_of_nothing_and_of_what_is_busy() -> None:
    schedule = Schedule()
    assert schedule.choose([]) is None
    assert schedule.choose([run("a", busy=True), run("b", busy=True, step=-1)]) is None


def test_the_run_that_is_furthest_behind_as_a_share_of_its_steps_goes_next() -> None:
    short, long = run("a", step=30, steps=100), run("b", step=200, steps=1000)
    assert Schedule().choose([short, long]) is long
    long.busy = True
    assert Schedule().choose([short, long]) is short


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_runs_of_different_lengths_and_speeds_end_within_a_slice_of_each_other(
    processes: int,
) -> None:
    """A slice of the quickest, on each process; when the first ends, the others lack no more."""
    made = Simulation(processes)
    made.add(*(run("stl", seed, step=-1, steps=400) for seed in (0, 1)), speed=25)
    made.add(*(run("mtl", seed, step=-1, steps=400) for seed in (0, 1)), speed=10)
    made.add(run("long", step=-1, steps=1500), speed=30)
    largest = 25 / 400  # the share of a run that a slice of the quickest is
    while not made.ended:
        made.turn()
        shares = [one.share for one in made.going if not one.busy] + [1.0] * len(made.ended)
        if shares and min(shares) >= 0:
            assert max(shares) - min(shares) <= processes * largest + 1e-9
    while made.going:
        made.turn()
    ends = made.ended.values()
    # A slow run's share of that takes it 25 / 10 slices; one after the other on one process.
    assert max(ends) - min(ends) <= 4 * 2.5 * SLICE


def test_between_questions_time_is_shared_equally_within_a_slice() -> None:
    made = Simulation()
    made.add(*(run("a", seed, steps=4000, question="one") for seed in range(3)), speed=7)
    made.add(run("b", steps=4000, question="two"), speed=2)
    for _ in range(200):
        made.turn()
        assert abs(made.spent["one"] - made.spent["two"]) <= SLICE + 1e-9


def test_a_question_is_charged_for_how_long_its_slices_took() -> None:
    schedule = Schedule()
    one, two = run("a", question="one"), run("b", question="two")
    chosen = []
    for _ in range(30):
        picked = schedule.choose([one, two])
        schedule.charge(picked.visitor, picked.question, 2.0 if picked is one else 1.0)
        chosen.append(picked.question)
    assert Counter(chosen) == {"one": 10, "two": 20}


def test_a_newcomers_experiments_get_their_first_points_before_anything_else() -> None:
    """Newest first: one point of each experiment, and no more than that."""
    old = run("old", step=1, steps=10_000, question="old")
    first = [run(name, seed, step=-1, question="1", asked_at=1) for name in "ab" for seed in (0, 1)]
    second = [run("c", seed, step=-1, question="2", asked_at=2) for seed in (0, 1)]
    going = [old, *first, *second]
    schedule, order = Schedule(), []
    for _ in range(3):
        chosen = schedule.choose(going)
        order.append(chosen.key.experiment)
        chosen.step = 0
        schedule.charge(chosen.visitor, chosen.question, 0.1)
    assert order == ["c", "a", "b"]
    schedule.charge("", "1", 1.0)
    schedule.charge("", "2", 1.0)
    assert schedule.choose(going) is old, "then time is shared"


def test_a_point_that_is_under_way_is_not_begun_twice() -> None:
    fresh = [run("a", seed, step=-1, question="new", asked_at=1) for seed in (0, 1)]
    old = run("old", step=1, question="old")
    schedule = Schedule()
    schedule.choose([old])
    schedule.charge("", "new", 1.0)
    fresh[0].busy = True
    assert schedule.choose([old, *fresh]) is old


def test_the_first_points_of_seeds_of_an_experiment_that_has_some_wait_their_turn() -> None:
    ahead, added = run("a", 0, step=90), run("a", 1, step=-1)
    other = run("b", 0, step=10, question="other", asked_at=1)
    schedule = Schedule()
    assert schedule.choose([ahead, added]) is added, "furthest behind in its question"
    schedule.charge("", "q", 1.0)
    assert schedule.choose([ahead, added, other]) is not None
    schedule.charge("", "q", 5.0)
    assert schedule.choose([ahead, added, other]) is other


def test_a_newcomer_is_not_starved_by_a_long_question_nor_starves_it() -> None:
    """Three questions: what has gone on for long, a quick one, and another that comes later."""
    made = Simulation(processes=2)
    made.add(*(run("long", seed, step=-1, steps=10**6, question="long") for seed in range(8)))
    for _ in range(400):
        made.turn()
    assert made.spent["long"] > 150

    arrived = made.time
    quick = [
        run(name, seed, step=-1, steps=100, question="quick", asked_at=arrived)
        for name in ("stl", "mtl")
        for seed in (0, 1)
    ]
    made.add(*quick, speed=25)
    for _ in range(6):
        made.turn()
    later = made.time
    assert {one.step >= 0 for one in quick} == {True}, "all have their first point at once"
    before = Counter(made.spent)
    last = run("last", step=-1, steps=10**6, question="last", asked_at=later)
    made.add(last)
    while quick[-1] in made.going or quick[0] in made.going:
        made.turn()
    # It needs 16 slices; of two processes that three questions share it has two thirds of one.
    assert made.time - later < 16 * SLICE * 3 / 2 + 3 * SLICE
    gained = {name: made.spent[name] - before[name] for name in ("long", "last")}
    assert gained["long"] > 0.5 * (made.time - later), "and the long one went on"
    assert abs(gained["long"] - gained["last"]) <= 3 * SLICE

    before = Counter(made.spent)
    for _ in range(100):
        made.turn()
    gained = {name: made.spent[name] - before[name] for name in ("long", "last")}
    assert abs(gained["long"] - gained["last"]) <= 2 * SLICE, "in halves again"


def test_what_ended_and_comes_again_does_not_make_up_for_the_time_between() -> None:
    """A question is forgotten with its last run."""
    schedule = Schedule()
    one, two = run("a", question="one"), run("b", question="two")
    schedule.choose([one, two])
    schedule.charge("", "one", 1.0)
    for _ in range(50):
        assert schedule.choose([two]) is two
        schedule.charge("", "two", 1.0)
    order = []
    for _ in range(10):
        picked = schedule.choose([one, two])
        schedule.charge(picked.visitor, picked.question, 1.0)
        order.append(picked.question)
    assert Counter(order) == {"one": 5, "two": 5}


def test_one_that_was_charged_much_does_not_hold_it_against_its_name() -> None:
    schedule = Schedule()
    one, two = run("a", question="one"), run("b", question="two")
    schedule.choose([one, two])
    schedule.charge("", "one", 1000.0)
    schedule.choose([two])  # "one" ended
    schedule.charge("", "two", 3.0)
    schedule.choose([one, two])
    schedule.charge("", "two", 0.1)
    assert schedule.choose([one, two]) is one


# Visitors.


def test_visitors_share_the_time_equally_however_much_each_has_asked_for() -> None:
    made = Simulation(processes=2)
    for number in range(66):
        many = [run(f"s{number}", seed, question=f"s{number}", visitor="b") for seed in range(3)]
        made.add(*many, speed=0)
    made.add(*(run("a", seed, question="a", visitor="a") for seed in (0, 1)), speed=0)
    for _ in range(400):
        made.turn()
        assert abs(made.had["a"] - made.had["b"]) <= 2 * SLICE + 1e-9
    shares = [made.spent[f"s{number}"] for number in range(66)]
    assert max(shares) - min(shares) <= 2 * SLICE, "and one visitor's questions share that one's"


def test_a_stranger_with_198_experiments_holds_nobody_up() -> None:
    """Neither one who comes before them nor one who comes after them."""
    made = Simulation()
    early = run("early", step=0, question="early", visitor="early")
    made.add(early, speed=2)
    made.turn()
    many = [run(f"s{n}", step=-1, question="s", asked_at=1, visitor="stranger") for n in range(198)]
    made.add(*many, speed=1)
    asked = made.time
    for _ in range(150):
        made.turn()
    assert made.had["early"] >= (made.time - asked) / 2 - FIRST_SECONDS - SLICE
    quick = [run(name, step=-1, question="q", asked_at=2, visitor="late") for name in "ab"]
    made.add(*quick, speed=25)
    arrived = made.time
    for _ in range(3):
        made.turn()
    assert {one.step >= 0 for one in quick} == {True}, "its first points come at once"
    while any(one in made.going for one in quick):
        made.turn()
    # It needs 8 slices of a process that three visitors share.
    assert made.time - arrived <= 3 * 8 * SLICE + 4 * SLICE


def test_one_visitor_alone_gets_all_first_points_first() -> None:
    made = Simulation()
    made.add(run("old", question="old", visitor="a"), speed=1)
    many = [run(f"s{n}", step=-1, question="s", asked_at=1, visitor="a") for n in range(300)]
    made.add(*many, speed=1)
    for _ in range(300):
        made.turn()
    assert {one.step >= 0 for one in many} == {True}
    assert made.spent["old"] == 0


def test_what_nobody_is_known_to_have_asked_for_is_one_visitors() -> None:
    made = Simulation()
    made.add(*(run(f"c{n}", question=f"c{n}") for n in range(9)), speed=0)
    made.add(run("a", question="a", visitor="a"), speed=0)
    for _ in range(100):
        made.turn()
    assert abs(made.had[""] - made.had["a"]) <= SLICE


def test_a_visitor_who_comes_back_neither_owes_nor_is_owed_time() -> None:
    schedule = Schedule()
    one, two = run("a", question="one", visitor="x"), run("b", question="two", visitor="y")
    schedule.choose([one, two])
    schedule.charge("x", "one", 1000.0)
    for _ in range(5):
        assert schedule.choose([two]) is two, "the first has nothing to do"
        schedule.charge("y", "two", 1.0)
    order = []
    for _ in range(10):
        picked = schedule.choose([one, two])
        schedule.charge(picked.visitor, picked.question, 1.0)
        order.append(picked.visitor)
    assert Counter(order) == {"x": 5, "y": 5}
