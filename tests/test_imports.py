"""Who imports whom: the layers of the design, and what a cheap import stays free of."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = sorted((ROOT / "mtl_core").rglob("*.py"))
PAGES = [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))]


def imported(path: Path) -> Iterator[str]:
    """Modules that a file names in any import, at the top or inside functions.

    ``from a import b`` counts as both ``a`` and ``a.b``, since b may be a module.
    """
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def offenders(files: list[Path], forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module in imported(path)
        if any(within(module, package) for package in forbidden)
    ]


def test_files_are_found() -> None:
    assert len(CORE) > 20
    assert len(PAGES) >= 2


def test_imports_are_seen() -> None:
    """The test's own eyes: every form of import, at every depth."""
    file = ROOT / "mtl_core" / "training" / "train.py"
    assert {"mtl_core.training.replicas", "torch", "mtl_core.config.RunConfig"} <= set(
        imported(file)
    )


def test_core_never_imports_streamlit() -> None:
    assert offenders(CORE, ("streamlit",)) == []


def test_pages_import_neither_torch_nor_the_command_line_and_train_nothing() -> None:
    forbidden = ("torch", "torchvision", "mtl_core.cli", "mtl_core.train", "mtl_core.training")
    assert offenders(PAGES, (*forbidden, "mtl_core.pareto.solve", "mtl_core.pareto.solver")) == []


def test_pages_touch_nothing_private_of_streamlit() -> None:
    # There is no public way to let go of what was uploaded.
    uploads = "streamlit.runtime.scriptrunner"
    public = ("streamlit", "streamlit.delta_generator")
    modules = {module for path in PAGES for module in imported(path) if within(module, "streamlit")}
    private = {module for module in modules if module.startswith("streamlit.")} - {
        f"{base}.{name}" for base in public for name in ("DeltaGenerator", "delta_generator")
    }
    known = {"streamlit.delta_generator", uploads, f"{uploads}.get_script_run_ctx"}
    assert private - known == set()
    users = [path.name for path in PAGES if uploads in imported(path)]
    assert users == ["uploads.py"]


KINDS = ROOT / "mtl_core" / "runs" / "kinds"


def test_all_charts_are_drawn_by_one_function() -> None:
    """Altair keeps how it writes data for the whole process; two that set it would be in a race."""
    drawing = [
        path.relative_to(ROOT).as_posix()
        for path in PAGES
        if re.search(r"altair_chart|vega_lite_chart", path.read_text(encoding="utf-8"))
    ]
    assert drawing == ["pages/parts/figures.py"]


def test_only_kinds_ask_of_which_kind_an_experiment_is() -> None:
    """Everything else asks the kind; a third one is a file and a line there."""
    asking = []
    for path in [*CORE, *PAGES]:
        if path.is_relative_to(KINDS):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", "") != "isinstance":
                continue
            names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            if names & {"RunConfig", "ParetoConfig", "Front"}:
                asking.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert asking == []


def test_no_file_is_the_second_copy_of_another() -> None:
    names = [path.stem for path in [*CORE, *PAGES]]
    assert [name for name in names if name.startswith("front_") or "_front" in name] == [
        name for name in names if name == "pareto_front"
    ]


@pytest.mark.parametrize(
    ("layer", "above"),
    [
        (
            "data",
            "networks settings optimizers factors pareto training analysis runs charts views",
        ),
        (
            "networks",
            "data settings optimizers factors pareto training analysis runs charts views",
        ),
        ("settings", "optimizers factors pareto training analysis runs charts views"),
        ("optimizers", "settings factors pareto training analysis runs charts views"),
        ("factors", "settings pareto training analysis runs charts views"),
        ("training", "analysis runs charts views"),
        ("pareto", "analysis runs charts views"),
        ("analysis", "training runs charts views"),
        ("runs", "charts views"),
        ("charts", "training runs views"),
        ("views", ""),
    ],
)
def test_dependencies_point_one_way(layer: str, above: str) -> None:
    files = [path for path in CORE if path.is_relative_to(ROOT / "mtl_core" / layer)]
    assert files
    own = ("mtl_core.cli", "pages", "app")
    forbidden = (*(f"mtl_core.{name}" for name in above.split()), *own)
    assert offenders(files, forbidden) == []


def test_config_and_errors_are_below_training() -> None:
    files = [ROOT / "mtl_core" / f"{name}.py" for name in ("config", "trajectory")]
    above = ("training", "analysis", "runs", "charts", "views", "cli")
    assert offenders(files, tuple(f"mtl_core.{name}" for name in above)) == []


def python(code: str, *arguments: str) -> str:
    """Standard output of a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


BLOCKER = """
import importlib, pkgutil, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("streamlit", "altair", "dask", "distributed", "ray"):
            raise ImportError(f"{name} is refused here")

sys.meta_path.insert(0, Refuse())
import mtl_core
done = []
for module in pkgutil.walk_packages(mtl_core.__path__, "mtl_core."):
    if not module.name.startswith("mtl_core.charts") and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        done.append(module.name)
"""


def test_core_works_without_streamlit_altair_and_the_extras() -> None:
    """All of it but the charts is imported, and a run is trained."""
    code = BLOCKER + (
        "from mtl_core import RunConfig, train\n"
        "config = RunConfig('digits', 'digits1', samples=8, batch_size=8, epochs=1, width=1,\n"
        "                   seeds=(0,))\n"
        "rows = [row for checkpoint in train(config, device='cpu') for row in checkpoint.rows]\n"
        "print(len(rows), len(done), 'mtl_core.training.replicas' in done)\n"
        "try:\n    import streamlit\nexcept ImportError as error:\n    print(error)\n"
    )
    first, second = python(code).splitlines()
    rows, modules, trained = first.split()
    assert (rows, trained) == ("2", "True")
    assert int(modules) > 20
    assert second == "streamlit is refused here"


@pytest.mark.parametrize(
    "code",
    [
        "import mtl_core, mtl_core.settings, mtl_core.optimizers, mtl_core.errors\n"
        "mtl_core.RunConfig.from_preset('fashion', 'quick', auxiliaries=('fashion2',)).id\n"
        "[mtl_core.settings.get(name).data_state() for name in mtl_core.settings.names()]",
        "from mtl_core.cli import main\nassert main(['list', 'settings']) == 0",
        "import runpy, sys\nsys.argv = ['mtl_core', 'list', 'settings']\n"
        "try:\n    runpy.run_module('mtl_core', run_name='__main__')\n"
        "except SystemExit as end:\n    assert end.code == 0",
    ],
    ids=["import", "main", "python -m mtl_core list settings"],
)
def test_what_is_cheap_loads_no_torch_and_no_pandas(code: str) -> None:
    code += "\nimport sys\nprint(*sorted(m for m in sys.modules if '.' not in m))"
    loaded = set(python(code).split())
    assert {"mtl_core", "numpy"} <= loaded
    heavy = (
        "torch torchvision transformers PIL pandas pyarrow altair streamlit loky joblib "
        "distributed ray"
    )
    assert not loaded & set(heavy.split())


def test_public_names_are_there() -> None:
    import mtl_core

    for name in mtl_core.__all__:
        assert getattr(mtl_core, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        _ = mtl_core.nope
