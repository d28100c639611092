"""Lessons: guess, run, and the guess against what came out; alone and in a class."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtl_core import classes as classes_module
from mtl_core.classes import Classes
from mtl_core.runs import Store
from mtl_core.views import lesson_files
from pages.parts import visitors

RUN = "setting=digits&target=digits1&aux=noisy_digits&preset=quick&optimizer=umtg&seeds=0+1+2"
LESSON = f"""---
title: Mine
order: 1
minutes: 1
summary: A lesson of one step.
---

## Does it help?

Some words.

guess: choice
- better: It helps.
- worse: It harms.
run: {RUN}&lr=0.002
expect: better
learned: It helps where it does.

## By how much?

Some other words.

guess: slider from -20 to 20 pt
run: {RUN}&lr=0.002
learned: By some points.
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "lessons"
    made.mkdir()
    (made / "mine.md").write_text(LESSON, encoding="utf-8")
    monkeypatch.setattr(lesson_files, "folder", lambda: made)
    return made


@pytest.fixture(autouse=True)
def paces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes_module, "_tries", classes_module._Minute())


def sent(app: Any) -> dict[str, str]:
    return {
        name: value[0] if isinstance(value, list) else value
        for name, value in dict(app.query_params).items()
    }


def labels(app: Any) -> list[str]:
    return [button.label for button in app.button]


def press(app: Any, name: str) -> Any:
    next(button for button in app.button if button.label == name).click()
    app.run()
    assert not app.exception
    return app


def said(app: Any) -> str:
    every = [*app.markdown, *app.caption, *app.error, *app.warning, *app.info]
    return "\n".join(str(one.value) for one in every)


def test_all_lessons_are_listed(open_page: Callable[..., Any]) -> None:
    app = open_page("lessons")
    titles = [one.value for one in app.subheader]
    assert titles == [
        "A helpful task",
        "A harmful task",
        "Noise and data",
        "Conflicting gradients",
        "Trade-offs",
        "Can anything foretell it?",
    ]
    press(app, "Begin")
    assert app.title[0].value == "Does more of the same help?"
    assert sent(app) == {"lesson": "a_helpful_task"}
    press(app, "All lessons")
    assert sent(app) == {}


def test_a_known_answer_is_shown_after_the_guess_and_not_before(
    open_page: Callable[..., Any], store: Store
) -> None:
    app = open_page("lessons", lesson="a_helpful_task")
    (run,) = [button for button in app.button if button.label == "Run"]
    assert run.disabled
    assert "What this shows" not in said(app)
    assert len(app.get("vega_lite_chart")) == 1, "the single task alone"
    app.radio[0].set_value("worse").run()
    assert sent(app)["guesses"] == "worse"
    assert "What this shows" not in said(app)
    press(app, "Show what came out")
    assert sent(app) == {"lesson": "a_helpful_task", "guesses": "worse", "shown": "1"}
    assert "It came out the other way." in said(app)
    assert "target is **better** than alone: +6.6 pt" in said(app)
    assert "**What this shows.** A second task that follows the same rule" in said(app)
    assert app.radio[0].disabled
    assert store.runs() == [], "nothing that ships is trained again"


def test_run_trains_the_steps_question_once(
    open_page: Callable[..., Any],
    folder: Path,
    store: Store,
    finish: Callable[..., Any],
) -> None:
    app = open_page("lessons", lesson="mine")
    app.radio[0].set_value("better").run()
    press(app, "Run")
    asked = {record.config.auxiliaries_label for record in store.runs()}
    assert asked == {"stl", "noisy_digits"}
    assert len(store.runs()) == 6
    assert sent(app)["shown"] == "1"
    assert "Stop" in labels(app)
    assert "What this shows" not in said(app), "before all runs are done nothing is judged"
    press(app, "Stop")
    assert "Resume" in labels(app)
    for record in store.runs():
        store.remove(record.config.id, [record.seed])
    config = lesson_files.read(folder / "mine.md").steps[0].configs[0]
    finish(config, gain=0.05)
    finish(config.baseline)
    app = open_page("lessons", lesson="mine", guesses="better 5", shown="1 2")
    assert "Your guess was right." in said(app)
    app.segmented_control[0].set_value(2).run()
    assert "Your guess was +5.0 pt" in said(app)
    assert "2 of 2 guesses right." in said(app)
    assert app.slider[0].disabled
    press(app, "Start over")
    assert sent(app) == {"lesson": "mine"}


def test_what_the_author_did_not_expect_is_said(
    open_page: Callable[..., Any], folder: Path, finish: Callable[..., Any]
) -> None:
    config = lesson_files.read(folder / "mine.md").steps[0].configs[0]
    finish(config, gain=-0.05)
    finish(config.baseline)
    app = open_page("lessons", lesson="mine", guesses="better", shown="1")
    assert "The lesson was written for runs that come out better; on this machine they" in said(app)


def test_undecided_is_said_and_scores_nothing(open_page: Callable[..., Any], folder: Path) -> None:
    run = "setting=digits&target=digits1&aux=digits2&preset=quick&optimizer=umtg&seeds=0+1+2"
    text = (folder / "mine.md").read_text()
    text = re.sub(r"^run: .*$", f"run: {run}", text, flags=re.M)
    (folder / "few.md").write_text(re.sub(r"^expect: .*$", "expect: unclear", text, flags=re.M))
    app = open_page("lessons", lesson="few", step="2", guesses="better 5", shown="1 2")
    assert "Undecided. Nothing is scored." in said(app)
    assert "These runs cannot tell: " in said(app)
    assert "In 2 steps the runs cannot tell, so nothing is scored." in said(app)


def test_a_slider_is_a_guess_once_it_was_moved(open_page: Callable[..., Any]) -> None:
    app = open_page("lessons", lesson="a_harmful_task")
    assert "Move the slider" in said(app)
    app.slider[0].set_value(-9.5).run()
    assert sent(app)["guesses"] == "-9.5"
    press(app, "Show what came out")
    assert "Your guess was −9.5 pt: inside the interval." in said(app)
    press(app, "Next question")
    assert sent(app)["step"] == "2"
    assert "Draw the curve that you expect" in said(app)
    press(press(app, "All lessons"), "Go on")
    assert sent(app) == {
        "lesson": "a_harmful_task", "step": "2", "guesses": "-9.5", "shown": "1"
    }  # fmt: skip


def test_a_sketch_counts_by_where_it_ends(open_page: Callable[..., Any]) -> None:
    curve = "25.40.50.60.65.70.72.72.72"
    app = open_page("lessons", lesson="a_harmful_task", step="2", guesses=f"- {curve}", shown="2")
    assert "from the other one, on the right side." in said(app)
    assert "The third curve came out." in said(app)


def test_a_lesson_in_one_markdown_file_shows_up(
    open_page: Callable[..., Any], folder: Path
) -> None:
    second = LESSON.replace("title: Mine", "title: Another").replace("order: 1", "order: 2")
    (folder / "another.md").write_text(second, encoding="utf-8")
    app = open_page("lessons")
    assert [one.value for one in app.subheader] == ["Mine", "Another"]


def test_a_broken_lesson_names_file_line_and_way_out(
    open_page: Callable[..., Any], folder: Path
) -> None:
    (folder / "broken.md").write_text(LESSON.replace("guess: choice", "guess: maybe"))
    line = "lessons/broken.md, line 12: unknown guess 'maybe'; one of: choice, slider from LOW"
    app = open_page("lessons")
    assert [one.value for one in app.subheader] == ["Mine"], "the other stays usable"
    assert line in app.error[0].value
    app = open_page("lessons", lesson="broken")
    assert line in app.error[0].value
    assert not app.exception
    app = open_page("lessons", lesson="gone")
    assert "unknown lesson 'gone'; one of: broken, mine" in app.warning[0].value


# A class.


@pytest.fixture
def classes(store_path: Path) -> Classes:
    return Classes(store_path.with_name("classes.db"))


def test_a_presenter_opens_a_class_and_sees_the_guesses(
    open_page: Callable[..., Any], classes: Classes
) -> None:
    app = open_page("lessons", lesson="a_helpful_task")
    press(app, "Open a class")
    code = sent(app)["class"]
    assert any(f"lesson=a_helpful_task&class={code}" in one.value for one in app.code)
    assert "**The class**: 0 answers here; 0 browsers take part" in said(app)
    for visitor, guess in (("ann", "better"), ("bob", "worse"), ("cid", "better")):
        classes.guess(code, visitor, "a_helpful_task/1", guess)
    classes.guess(code, "dan", "a_helpful_task/1", "what the lesson no longer has")
    app.run()
    assert "**The class**: 4 answers here; 4 browsers take part" in said(app)
    assert not app.exception
    assert "Show what came out" in labels(app), "who presents need not guess"
    press(app, "End the class")
    assert "class" not in sent(app)


def test_a_guess_goes_to_the_class_and_a_changed_one_replaces_it(
    open_page: Callable[..., Any], classes: Classes
) -> None:
    code = classes.open("teacher").code
    app = open_page("lessons", lesson="a_helpful_task", **{"class": code})
    assert "Your guesses go to whoever presents, without a name." in said(app)
    assert "**The class**" not in said(app), "only who presents sees the others"
    app.radio[0].set_value("worse").run()
    assert classes.guesses(code, "teacher", "a_helpful_task/1") == ["worse"]
    app.radio[0].set_value("better").run()
    assert classes.guesses(code, "teacher", "a_helpful_task/1") == ["better"]
    press(app, "Leave")
    app.radio[0].set_value("unclear").run()
    assert classes.guesses(code, "teacher", "a_helpful_task/1") == ["better"]


def test_joining_by_code_brings_what_was_guessed(
    open_page: Callable[..., Any], classes: Classes
) -> None:
    code = classes.open("teacher").code
    app = open_page("lessons", lesson="a_helpful_task", guesses="better -3", shown="2")
    app.text_input[0].set_value(f"{code[:4].lower()} {code[4:]}").run()
    assert not app.exception
    assert classes.guesses(code, "teacher", "a_helpful_task/1") == ["better"]
    assert classes.guesses(code, "teacher", "a_helpful_task/2") == [], "it was shown already"


def test_a_wrong_code_is_one_line_and_the_lesson_goes_on(open_page: Callable[..., Any]) -> None:
    app = open_page("lessons", lesson="a_helpful_task", **{"class": "BBBBBBBB"})
    (line,) = [one.value for one in app.warning]
    assert line.startswith("There is no class of this code, or it has ended; ask for its link")
    for _ in range(3):
        app.run()
    assert classes_module._tries._count == 1, "a wrong code is tried once, not at every touch"
    app.radio[0].set_value("better").run()
    assert sent(app)["guesses"] == "better"
    press(app, "Leave the class")
    assert not app.warning


@pytest.mark.parametrize("shared", [False, True])
def test_classes_are_bounded_for_strangers_too(
    open_page: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    if shared:
        monkeypatch.setenv("MTL_SHARED", "1")
    monkeypatch.setattr(visitors, "visitor", lambda: "teacher")
    monkeypatch.setattr(classes_module, "MOST_OWN", 1)
    press(open_page("lessons"), "Open a class")
    app = press(open_page("lessons"), "Open a class")
    assert "you present 1 classes already; end one of them first" in said(app)
    assert "class" not in sent(app)
