"""What controls send before the browser has drawn them changes no question.

All callbacks of controls go through ``Page.once_drawn``. A button needs it where its callback reads
a control; one that says by itself what it asks for was clicked on purpose, and is heard.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("what_if", "pareto_front", "which_auxiliary")

ELSEWHERE = {
    "add_data: _take": "a file, before it is a setting",
    "add_data: _look": "a file, before it is a setting",
    "own_files: lambda: ask(st.session_state[_KEY] or '')": "ask is the page's, which is tested",
    "player: _take": "which step is played; no question has it",
    "slider: slid": "what it calls is the page's, which is tested",
}
"""Callbacks of controls that ask for nothing by themselves, and why."""


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def modules() -> dict[str, ast.Module]:
    """The three pages and all parts that they are made of, by name."""
    left, found = [ROOT / "pages" / f"{page}.py" for page in PAGES], {}
    while left:
        path = left.pop()
        if path.stem in found or not path.is_file():
            continue
        tree = found[path.stem] = parsed(path)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "pages.parts":
                left += [ROOT / "pages" / "parts" / f"{one.name}.py" for one in node.names]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pages.parts"):
                left.append(ROOT.joinpath(*(node.module or "").split(".")).with_suffix(".py"))
    return found


MODULES = modules()


def functions(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def callbacks(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """What is called when a control changes or a button is clicked, in whatever way it is given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from ((one.arg, one.value) for one in node.keywords if is_callback(one.arg))
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and is_callback(key.value):
                    yield key.value, value


def is_callback(name: object) -> bool:
    return isinstance(name, str) and name.startswith("on_") and name.endswith(("change", "click"))


def gated(function: ast.FunctionDef) -> bool:
    return any(ast.unparse(one).endswith(".once_drawn") for one in function.decorator_list)


def reads_a_control(node: ast.AST, known: dict[str, ast.FunctionDef], seen: set[str]) -> bool:
    """Whether it, or a function of the module that it names, looks at what a control shows."""
    for one in ast.walk(node):
        if isinstance(one, ast.Subscript) and isinstance(one.ctx, ast.Load):
            if ast.unparse(one.value) == "st.session_state":
                return True
        elif isinstance(one, ast.Attribute):
            if ast.unparse(one.value) == "st.session_state" and isinstance(one.ctx, ast.Load):
                if one.attr not in ("get", "pop", "setdefault"):
                    return True
            elif one.attr in ("entered", "take"):
                return True
        elif isinstance(one, ast.Name) and one.id in known and one.id not in seen:
            called = known[one.id]
            if not gated(called) and reads_a_control(called, known, seen | {one.id}):
                return True
    return False


def test_the_parts_are_found() -> None:
    assert {*PAGES, "what_if_optimizers", "what_if_looks", "transfer_matrix"} <= MODULES.keys()
    assert {"pareto_figures", "own_files", "buttons", "state", "player"} <= MODULES.keys()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_callback_of_a_control_goes_through_the_gate(module: str) -> None:
    known = functions(MODULES[module])
    for name, value in callbacks(MODULES[module]):
        said = ast.unparse(value)
        if isinstance(value, ast.Constant) or said in ("PAGE.take", "page.take"):
            continue
        if isinstance(value, ast.Name) and value.id in known and gated(known[value.id]):
            continue
        if name == "on_click":
            assert not reads_a_control(value, known, set()), f"{module}: {said}"
        elif not (isinstance(value, ast.Name) and value.id == name):  # a parameter, handed on
            assert f"{module}: {said}" in ELSEWHERE


def test_no_exception_is_left_over() -> None:
    there = {
        f"{module}: {ast.unparse(value)}"
        for module, tree in MODULES.items()
        for _, value in callbacks(tree)
    }
    assert there >= ELSEWHERE.keys()


@pytest.mark.parametrize("page", PAGES)
def test_no_page_reads_a_control_but_in_a_gated_callback(page: str) -> None:
    """A callback that a part is given, and what is called in others, has the gate before it."""
    tree = MODULES[page]
    key = next(
        ast.literal_eval(node.value.args[0])
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        if ast.unparse(node.targets[0]) == "PAGE"
    )
    for function in functions(tree).values():
        told = ast.unparse(function)
        read = f"st.session_state.{key}_" in told or f"st.session_state[f'{key}_" in told
        if (read or "PAGE.entered(" in told) and function.name.startswith(("_ask", "_pick")):
            assert gated(function), function.name


QUESTIONS: list[tuple[str, dict[str, str]]] = [
    ("what_if", {"setting": "digits", "preset": "quick", "epochs": "100", "seeds": "0"}),
    ("what_if", {"setting": "synthetic", "optimizer": "cagrad gradnorm", "look": "factors"}),
    ("what_if", {"setting": "cifar100", "look": "correlation", "pins": "0123456789abcdef"}),
    ("pareto_front", {"problem": "toy", "preset": "quick", "lr": "0.02", "seeds": "3 4"}),
    ("pareto_front", {"problem": "linnerud", "method": "decay", "look": "hypervolume"}),
    ("pareto_front", {"problem": "csv", "problem.file": "table.csv", "problem.targets": "a, b"}),
    ("which_auxiliary", {"margin": "3", "most": "16", "grow": "true", "candidates": "cos100"}),
    ("which_auxiliary", {"look": "pairs", "seeds": "3", "clustered": "true"}),
]


def emptied(app: Any) -> set[str]:
    """Let every control send what one without a value does, or else another value; their keys."""
    values: dict[str, Callable[[Any], Any]] = {
        "segmented_control": lambda one: None,
        "selectbox": lambda one: None,
        "number_input": lambda one: None,
        "text_input": lambda one: "",
        "text_area": lambda one: "",
        "multiselect": lambda one: [],
        "toggle": lambda one: not one.value,
        "select_slider": lambda one: one.options[-1],
    }
    keys = set()
    for kind, value in values.items():
        for one in getattr(app, kind):
            one.set_value(value(one))
            keys.add(one.key)
    return keys


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table in the app's folder of own files, for this process and the app's."""
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MTL_FILES", "own")
    (tmp_path / "own").mkdir()
    rows = [f"{row},{row % 7},{row % 3}" for row in range(40)]
    (tmp_path / "own" / "table.csv").write_text("\n".join(["a,b,c", *rows, ""]))


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(("page", "query"), QUESTIONS, ids=lambda one: str(one)[:60])
def test_whatever_the_controls_send_before_they_are_drawn_changes_nothing(
    open_page: Callable[..., Any], page: str, query: dict[str, str]
) -> None:
    app = open_page(page, **query)
    before = dict(app.query_params)
    assert len(emptied(app)) >= 5
    app.run()
    assert not app.exception
    assert not app.error
    assert dict(app.query_params) == before
