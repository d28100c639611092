"""Turns: one script at a time, first come, first served, and nobody is kept out for ever."""

import ast
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mtl_core.views import turns
from mtl_core.views.turns import Turns, in_turn

ROOT = Path(__file__).resolve().parents[2]
LONG = 60.0


class Script(threading.Thread):
    """Takes a turn and stays until it is let go."""

    def __init__(self, turns: Turns, inside: Callable[[], None] = lambda: None) -> None:
        super().__init__(daemon=True)
        self.came, self.leave = threading.Event(), threading.Event()
        self._turns, self._inside = turns, inside
        self.start()

    def run(self) -> None:
        with self._turns.taken():
            self.came.set()
            self._inside()
            assert self.leave.wait(LONG)

    def end(self) -> None:
        self.leave.set()
        self.join(LONG)
        assert not self.is_alive()


def waiting(turns: Turns, count: int) -> None:
    """Returns once so many wait."""
    deadline = time.monotonic() + LONG
    while len(turns._waiting) != count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_one_is_in_at_a_time_in_the_order_in_which_they_came() -> None:
    turns = Turns(patience=LONG)
    scripts = []
    for count in range(6):
        scripts.append(Script(turns))
        waiting(turns, count)
    for place, script in enumerate(scripts):
        assert script.came.wait(LONG)
        assert len(turns._since) == 1
        assert not any(later.came.is_set() for later in scripts[place + 1 :])
        script.end()
    assert not turns._since
    assert not turns._waiting


def test_who_stays_long_lets_the_next_in_beside_it() -> None:
    turns = Turns(patience=0.3)
    stuck = Script(turns)
    assert stuck.came.wait(LONG)
    started = time.monotonic()
    second, third = Script(turns), Script(turns)
    assert second.came.wait(LONG)
    assert time.monotonic() - started > 0.1, "not at once"
    assert third.came.wait(LONG), "the second stays long as well"
    second.end()
    third.end()
    # And whoever comes later does not wait for it at all.
    later = Script(turns)
    assert later.came.wait(LONG)
    assert stuck.is_alive()
    later.end()
    stuck.end()


def test_a_turn_may_be_taken_again_inside() -> None:
    turns = Turns(patience=LONG)

    def again() -> None:
        with turns.taken(), turns.taken():
            assert len(turns._since) == 1
        assert len(turns._since) == 1

    script = Script(turns, again)
    assert script.came.wait(LONG)
    script.end()
    assert not turns._since


def test_who_waits_for_another_process_gives_its_turn_up_and_takes_another() -> None:
    turns = Turns(patience=LONG)
    asked, told = threading.Event(), threading.Event()
    back = threading.Event()

    def ask() -> None:
        with turns.given_up():
            asked.set()
            assert told.wait(LONG)
        back.set()

    script = Script(turns, ask)
    assert asked.wait(LONG)
    other = Script(turns)
    assert other.came.wait(LONG), "it does not wait for who asks"
    told.set()
    waiting(turns, 1)
    assert not back.is_set(), "one at a time"
    other.end()
    assert back.wait(LONG)
    script.end()


def test_outside_of_a_turn_there_is_none_to_give_up() -> None:
    turns = Turns()
    with turns.given_up():
        assert not turns._since
    assert not turns._since


class Rerun(BaseException):
    """As Streamlit ends a script that is asked for anew."""


@pytest.mark.parametrize("error", [ValueError, Rerun])
def test_an_error_ends_a_turn(error: type[BaseException]) -> None:
    turns = Turns(patience=LONG)
    with pytest.raises(error), turns.taken():
        raise error
    assert not turns._since
    script = Script(turns)
    assert script.came.wait(LONG)
    script.end()


def test_who_is_interrupted_while_it_waits_stands_in_nobodys_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Turns(patience=LONG)
    first = Script(made)
    assert first.came.wait(LONG)

    class Interrupted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(turns.threading, "Event", Interrupted)
        with pytest.raises(KeyboardInterrupt), made.taken():
            pass
    assert not made._waiting
    next_one = Script(made)
    first.end()
    assert next_one.came.wait(LONG)
    next_one.end()


def test_who_is_interrupted_on_the_way_back_says_so_and_stands_in_nobodys_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By design: before, it ended with a KeyError, since it was not in when it left."""
    made = Turns(patience=LONG)
    others: list[Script] = []

    class Interrupted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    def ask() -> None:
        with monkeypatch.context() as patch, made.taken(), made.given_up():
            others.append(Script(made))
            assert others[0].came.wait(LONG)
            others.append(Script(made))
            waiting(made, 1)
            patch.setattr(turns.threading, "Event", Interrupted)

    with pytest.raises(KeyboardInterrupt):
        ask()
    assert (len(made._since), len(made._waiting)) == (1, 1)
    others[0].end()
    assert others[1].came.wait(LONG)
    others[1].end()
    assert not made._since


def test_many_at_once_are_never_in_together_and_all_come_in() -> None:
    made = Turns(patience=LONG)
    inside, most, done = [0], [0], []

    @contextmanager
    def counted() -> Iterator[None]:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        yield
        inside[0] -= 1

    def work(number: int) -> None:
        for _ in range(20):
            with made.taken(), counted():
                time.sleep(0.0002)
        done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert (most[0], sorted(done)) == (1, list(range(12)))


def test_a_function_keeps_its_name_for_streamlit_to_tell_fragments_apart() -> None:
    @in_turn
    def shown(a: int, b: int = 0) -> int:
        """Draws."""
        return a - b

    assert (shown(3, b=1), shown.__name__, shown.__doc__) == (2, "shown", "Draws.")


@pytest.mark.parametrize("path", sorted((ROOT / "pages").rglob("*.py")), ids=lambda path: path.stem)
def test_every_fragment_and_dialog_takes_turns(path: Path) -> None:
    """They run without app.py, whose turn they would else not take."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    taking, asked = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            named = [ast.unparse(one).partition("(")[0] for one in node.decorator_list]
            if "in_turn" in named:
                taking.add(node.name)
            if {"st.fragment", "st.dialog"} & set(named):
                asked.add(node.name)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "st.fragment":
            asked |= {one.id for one in node.args if isinstance(one, ast.Name)}
    assert asked <= taking
