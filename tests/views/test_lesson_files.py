"""Lesson files: the six that ship, the format, and what is said of a mistake."""

from dataclasses import replace
from pathlib import Path

import pytest

from mtl_core.errors import InputError
from mtl_core.views import lesson_files
from mtl_core.views.lesson_files import Broken, Choice, Lesson, Sketch, Slider

RUN = "setting=synthetic&target=target&aux=cos100&preset=quick&optimizer=umtg&seeds=0+1"
TEXT = f"""---
title: A lesson
order: 7
minutes: 5
summary: What is it about?
---

## The first question

Does it help? Note: a colon makes no field of a sentence.

guess: choice
- better: Yes.
- worse: No.
run: {RUN}
expect: better
learned: It does,
  as far as it goes.
"""


def written(folder: Path, text: str = TEXT, name: str = "mine") -> Path:
    path = folder / f"{name}.md"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "lessons"
    made.mkdir()
    monkeypatch.setattr(lesson_files, "folder", lambda: made)
    return made


def test_six_lessons_ship_of_four_to_six_steps_each() -> None:
    found = lesson_files.lessons()
    assert [getattr(one, "title", one) for one in found] == [
        "A helpful task",
        "A harmful task",
        "Noise and data",
        "Conflicting gradients",
        "Trade-offs",
        "Can anything foretell it?",
    ]
    for one in found:
        assert isinstance(one, Lesson)
        assert 4 <= len(one.steps) <= 6


def test_every_kind_of_prediction_is_asked_for() -> None:
    found = [one for one in lesson_files.lessons() if isinstance(one, Lesson)]
    kinds = {type(step.guess) for one in found for step in one.steps}
    assert kinds == {Choice, Slider, Sketch}


def test_every_step_that_ships_is_short_and_runs_offline() -> None:
    for one in lesson_files.lessons():
        assert isinstance(one, Lesson)
        for step in one.steps:
            assert len(step.question.split()) <= 60, step.title
            assert len(step.learned.split()) <= 60, step.title
            assert step.expect, step.title
            assert {config.setting for config in step.configs} <= {"digits", "synthetic"}
            presets = {run.preset for run in step.runs}
            assert presets <= {"quick", "standard"}


def test_a_file_becomes_a_lesson(tmp_path: Path) -> None:
    lesson = lesson_files.read(written(tmp_path))
    assert (lesson.name, lesson.title, lesson.order, lesson.minutes) == ("mine", "A lesson", 7, 5)
    (step,) = lesson.steps
    assert step.question == "Does it help? Note: a colon makes no field of a sentence."
    assert step.guess == Choice({"better": "Yes.", "worse": "No."})
    assert (step.measure, step.against_first, step.expect) == ("transfer", False, "better")
    assert step.learned == "It does, as far as it goes."
    (config,) = step.configs
    assert (config.setting, config.auxiliaries, config.seeds) == ("synthetic", ("cos100",), (0, 1))


def test_an_address_is_copied_as_it_stands(tmp_path: Path) -> None:
    link = f"http://localhost:8501/what_if?{RUN}&look=epochs&width=16"
    lesson = lesson_files.read(written(tmp_path, TEXT.replace(f"run: {RUN}", f"run: {link}")))
    assert lesson.steps[0].configs[0].width == 16


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("---\ntitle", "title", 1, "no front matter; begin with ---"),
        ("title: A lesson\n", "", 1, "the front matter has no title; write a line title: …"),
        ("order: 7", "order: first", 3, "'first' is not a whole number from 0 to 999"),
        ("summary: What", "sumary: What", 5, "unknown field 'sumary'; one of: title, order"),
        ("## The first", "The first", 8, "begin the step with a line ## Its title"),
        ("guess: choice", "guess: choices", 12, "unknown guess 'choices'; one of: choice, slider"),
        ("- worse: No.\n", "", 12, "no answer for worse; add a line - worse: its words"),
        ("- worse: No.", "- no: No.", 14, "unknown outcome 'no'; one of: better, worse, unclear"),
        (f"run: {RUN}\n", "", 8, "has no run; add a line run: …"),
        ("setting=synthetic", "setting=synthesis", 15, "unknown setting 'synthesis'; one of:"),
        ("aux=cos100", "aux=", 15, "a run without auxiliary tasks"),
        (RUN, "cos100", 15, "is no question; copy the address of the What if page"),
        ("expect: better", "expect: good", 16, "unknown outcome 'good'; one of: better, worse"),
        ("expect: better", "judge: size", 16, "unknown measure 'size'; one of: transfer, gap"),
        ("expect: better", "judge: sharpness", 13, "unknown outcome 'better'; one of: explains"),
        ("expect: better", "judge: gap against the first run", 15, "add another run: …"),
        ("  as far", "as far", 18, "belongs to no field; write field: value, or indent"),
        ("expect: better", f"run: {RUN.replace('0+1', '0')}", 16, "have to share setting, target"),
        ("Does it help?", "word " * 61, 8, "words of question; write from 1 to 60"),
        ("It does,", "word " * 61, 17, "words of learned; write from 1 to 60"),
        ("learned: It", "learned: a\nlearned: It", 18, "a second learned; keep one of them"),
    ],
)
def test_a_mistake_names_file_line_and_way_out(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    assert old in TEXT
    with pytest.raises(InputError) as error:
        lesson_files.read(written(tmp_path, TEXT.replace(old, new, 1)))
    found = str(error.value)
    assert found.startswith(f"{tmp_path.name}/mine.md, line {line}: "), found
    assert said in found
    assert "\n" not in found


def test_what_is_no_text_or_far_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.md"
    path.write_bytes(b"---\n\xff\xfe")
    with pytest.raises(InputError, match=r"mine.md is not UTF-8 text; save it as UTF-8"):
        lesson_files.read(path)
    path.write_bytes(b"x" * 100_000)
    with pytest.raises(InputError, match=r"line 1: the file is larger than 64 KB"):
        lesson_files.read(path)
    with pytest.raises(InputError, match=r"nothing.md cannot be read"):
        lesson_files.read(tmp_path / "nothing.md")


@pytest.mark.parametrize(
    ("text", "low", "high", "step"),
    [
        ("slider from -15 to 15 pt", -15, 15, 0.5),
        ("slider from -1 to 1", -1, 1, 0.05),
        ("slider from −50 to 10 pt", -50, 10, 1),
    ],
)
def test_sliders_have_round_steps(
    tmp_path: Path, text: str, low: float, high: float, step: float
) -> None:
    changed = TEXT.replace("choice\n- better: Yes.\n- worse: No.", text)
    guess = lesson_files.read(written(tmp_path, changed)).steps[0].guess
    assert guess == Slider(low, high)
    assert isinstance(guess, Slider)
    assert guess.step == pytest.approx(step)
    assert guess.parse(f"{low:g}") == low
    with pytest.raises(InputError, match="is not from"):
        guess.parse(f"{high + 1:g}")


@pytest.mark.parametrize(
    "text", ["slider from 1 to 1", "slider from a to 2", "slider from 0 to inf"]
)
def test_sliders_need_two_ends(tmp_path: Path, text: str) -> None:
    changed = TEXT.replace("choice\n- better: Yes.\n- worse: No.", text)
    with pytest.raises(InputError, match=r"line 12: .* has no two ends, the smaller first"):
        lesson_files.read(written(tmp_path, changed))


def test_a_sketch_is_a_few_heights() -> None:
    assert Sketch(3).parse("0.50.100") == (0, 50, 100)
    for text in ("0.50", "a.b.c", "0.50.-1", "1.2.3.4"):
        with pytest.raises(InputError, match="is not a curve of 3 heights"):
            Sketch(3).parse(text)


def test_a_new_file_shows_up_and_a_broken_one_leaves_the_others(folder: Path) -> None:
    assert lesson_files.lessons() == []
    written(folder, name="one")
    written(folder, TEXT.replace("order: 7", "order: 1"), name="zwei")
    written(folder, "nothing", name="broken")
    (folder / "README.txt").write_text("no lesson")
    first, second, third = lesson_files.lessons()
    assert (first.name, second.name) == ("zwei", "one"), "by their order"
    assert third == Broken("broken", "lessons/broken.md, line 1: no front matter; begin with --- "
                           "and end it with another line ---")  # fmt: skip
    written(folder, TEXT.replace("A lesson", "Anew"), name="broken")
    again = lesson_files.find("broken")
    assert isinstance(again, Lesson)
    assert again.title == "Anew", "a change is seen without a restart"
    assert lesson_files.find("none") is None


def test_windows_editors_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "mine.md"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    plain = lesson_files.read(written(tmp_path, name="other"))
    assert lesson_files.read(path) == replace(plain, name="mine")


def test_a_sketch_needs_a_share(tmp_path: Path) -> None:
    run = "setting=cityscapes&target=depth&aux=segmentation&preset=quick&seeds=0+1"
    text = TEXT.replace("choice\n- better: Yes.\n- worse: No.", "sketch").replace(RUN, run)
    with pytest.raises(InputError, match=r"line 13: a sketch is of a share, such as accuracy"):
        lesson_files.read(written(tmp_path, text))


def test_a_name_that_no_link_can_have_is_said(folder: Path) -> None:
    written(folder, name="My lesson")
    (found,) = lesson_files.lessons()
    assert isinstance(found, Broken)
    assert found.problem.startswith("lessons/My lesson.md: links cannot have this name")
    assert lesson_files.names() == []


def test_the_example_of_the_documentation_is_a_lesson(tmp_path: Path) -> None:
    docs = Path(__file__).resolve().parents[2] / "docs" / "lessons.md"
    example = docs.read_text(encoding="utf-8").split("```markdown\n")[1].split("```")[0]
    lesson = lesson_files.read(written(tmp_path, example))
    assert [step.title for step in lesson.steps] == ["Does more of the same help?"]
