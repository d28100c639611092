"""The package: ``pip install .`` gives all that a checkout has, but for the app and its pages."""

import json
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import mtl_core
from tests.installed import ROOT, Environment, install

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]

WHERE = """
import json
from importlib.metadata import version

import mtl_core
from mtl_core import RunConfig, analysis, factors, optimizers, pareto, settings, train
from mtl_core.places import shipped

print(json.dumps({
    "package": mtl_core.__file__,
    "version": version("mtl-explorer"),
    "cache": str(shipped("cache")),
    "lessons": str(shipped("lessons")),
    "plans": str(shipped("plans")),
}))
"""

TRAIN = """
from mtl_core import RunConfig, train

config = RunConfig.from_preset("digits", "quick", epochs=1, factors=())
print(sum(len(checkpoint.rows) for checkpoint in train(config, device="cpu")))
"""


# The requirements files and pyproject.toml say the same.


def listed(name: str) -> list[str]:
    return (ROOT / name).read_text(encoding="utf-8").splitlines()


def normalised(lines: Iterable[str]) -> set[str]:
    """Requirements in one spelling, without comments and without other files."""
    bare = (line.partition("#")[0].strip() for line in lines)
    return {str(Requirement(line)) for line in bare if line and not line.startswith("-r ")}


def extra(name: str) -> set[str]:
    """An extra's requirements, with those of the extras that it names."""
    found: set[str] = set()
    for line in PROJECT["optional-dependencies"][name]:
        wanted = Requirement(line)
        if wanted.name == PROJECT["name"]:
            found.update(*(extra(other) for other in wanted.extras))
        else:
            found |= normalised([line])
    return found


def test_dependencies_are_those_of_requirements_txt() -> None:
    assert normalised(PROJECT["dependencies"]) == normalised(listed("requirements.txt"))


def test_extra_dev_is_requirements_dev_txt() -> None:
    lines = listed("requirements-dev.txt")
    assert "-r requirements.txt" in lines
    assert extra("dev") == normalised(lines)


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_has_its_reason(name: str) -> None:
    assert [line for line in listed(name) if line[:3] != "-r " and "#" not in line] == []


def test_the_build_backend_is_among_what_the_tests_need() -> None:
    """So the package is built here with what ``pip install`` takes by itself."""
    assert normalised(PYPROJECT["build-system"]["requires"]) <= extra("dev")


# Installed.


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return install(tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("elsewhere"))


def test_it_imports_from_anywhere_and_finds_what_ships(installed: Environment) -> None:
    told = json.loads(installed.run("python", "-c", WHERE))
    package = installed.packages / "mtl_core"
    assert Path(told["package"]) == package / "__init__.py"
    assert told["version"] == mtl_core.__version__
    assert Path(told["cache"]) == package / "shipped" / "cache"
    assert Path(told["lessons"]) == package / "shipped" / "lessons"
    assert Path(told["plans"]) == package / "shipped" / "plans"


@pytest.mark.parametrize("name", ["cache", "lessons", "plans"])
def test_all_that_ships_is_in_it(name: str, installed: Environment) -> None:
    def files(folder: Path) -> set[Path]:
        kept = (path for path in folder.rglob("*") if ".unfinished" not in path.parts)
        return {path.relative_to(folder) for path in kept if path.is_file()}

    there = files(installed.packages / "mtl_core" / "shipped" / name)
    assert there == files(ROOT / name)
    assert there


def test_the_packages_own_files_are_in_it(installed: Environment) -> None:
    there = installed.packages / "mtl_core"
    for name in ("py.typed", "settings/digits.npz", "pareto/problems/linnerud.csv"):
        assert (there / name).read_bytes() == (ROOT / "mtl_core" / name).read_bytes()


def test_the_app_is_not_in_it(installed: Environment) -> None:
    """Pages run from a checkout; a package called ``pages`` would be in everybody's way."""
    tops = {path.name for path in installed.packages.iterdir()}
    tops -= {"borrowed.pth", "mtl_core", f"mtl_explorer-{mtl_core.__version__}.dist-info"}
    assert tops == set()


def test_it_trains(installed: Environment) -> None:
    assert int(installed.run("python", "-c", TRAIN)) > 0


def test_the_command_line_has_a_name(installed: Environment) -> None:
    assert "digits" in installed.run("mtl-explorer", "list", "settings")


def test_building_leaves_no_litter(installed: Environment) -> None:
    litter = [ROOT / "build", ROOT / "dist", *ROOT.glob("*.egg-info"), ROOT / "mtl_core/shipped"]
    assert [path.name for path in litter if path.exists()] == []
