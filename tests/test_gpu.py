"""The GPU's table: numbers are found in what the benchmarks print, and kept where a step fails."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

FILE = Path(__file__).resolve().parents[1] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_benchmark", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


PRINTED = {
    "whole questions": "fashion, paper's size, 9 networks: 21.50 x the plain loop\n"
    "fashion, paper's size, 9 networks, 100 epochs: 71 s from 2\n"
    "digits, quick, 9 networks with factors: 2.9 s\n",
    "factors": "width 8: ours 1.00 s, plain 9.00 s, 9.0 x faster\n"
    "width 8: ours 1.00 s, plain 16.00 s, 16.0 x faster\n  sharpness 3% of ours\n",
    "optimizers": "lenet K=2 1 replica(s) mgda      torchjd / ours   3.20  (1.0 ms)\n"
    "lenet K=2 8 replica(s) mgda      torchjd / ours   9.90  (1.0 ms)\n",
    "many tasks": "20 tasks, ResNet18 width 64, batches of 128, cuda: 3.10 x (9 ms, ours 3 ms)\n"
    "memory, loop: 9,000 MiB\nmemory, ours: 12,345 MiB\n",
    "fronts": "cuda: 10 x LeNet, batch 256, sgd, loops: 10.0 ms, 1.00 of the loops (per turn 1)\n"
    "cuda: 10 x LeNet, batch 256, sgd, independent: 1.4 ms, 0.14 of the loops (per turn .1)\n",
}
EXPECTED = {
    "whole questions": [(21.5, "met"), (71, "missed"), (2.9, "met")],
    "factors": [(16, "met")],
    "optimizers": [(3.2, "met"), *[(None, "not measured")] * 3, (9.9, "missed")],
    "many tasks": [(3.1, "met"), (12345, "met")],
    "fronts": [(0.14, "met")],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_numbers_are_found_and_judged(gpu: ModuleType, name: str) -> None:
    (step,) = (one for one in gpu.STEPS if one.name == name)
    found = [(gpu.value(row, PRINTED[name]), row) for row in step.rows]
    judged = [(value, row.verdict(value)) for value, row in found]
    assert judged[: len(EXPECTED[name])] == EXPECTED[name]


def test_all_steps_fit_into_their_time_and_name_what_is_there(gpu: ModuleType) -> None:
    assert sum(step.share for step in gpu.STEPS) == pytest.approx(1)
    for step in gpu.STEPS:
        files = [part for part in step.command if part.endswith(".py") or part.startswith("tests/")]
        assert files
        assert all((FILE.parents[1] / part).exists() for part in files)


def test_a_step_that_fails_or_hangs_does_not_stop_the_others(gpu: ModuleType) -> None:
    row = gpu.Row("a number", r"n = ([\d.]+)", 2)
    steps = [
        gpu.Step("fails", ("-c", "print('n = 3'); raise SystemExit(4)"), 0.5, (row,)),
        gpu.Step(
            "hangs", ("-c", "import time; print('n = 1', flush=True); time.sleep(99)"), 0.05, (row,)
        ),
        gpu.Step("works", ("-c", "print('n = 2.5')"), 0.5, (row,)),
    ]
    found = gpu.measure(steps, 60)
    assert [step["end"] for step in found] == ["failed", "out of time", "done"]
    assert [step["rows"][0]["verdict"] for step in found] == ["met", "missed", "met"]
    json.dumps(found)
    text = gpu.table({"card": "a card", "date": "2026-11-27", "steps": found})
    assert "On a card, 2026-11-27" in text
    assert "| a number | 1 × | 2 × | missed, out of time |" in text


def test_the_table_takes_its_place_in_the_readme(gpu: ModuleType, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text((FILE.parent / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
    before = readme.read_text(encoding="utf-8")
    gpu.into_readme("| first |", readme)
    gpu.into_readme("| second |", readme)
    after = readme.read_text(encoding="utf-8")
    assert "| first |" not in after
    assert after.count("| second |") == 1
    assert after.split(gpu.MARKS[0])[0] == before.split(gpu.MARKS[0])[0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_without_a_gpu_it_says_so_and_ends_well(
    gpu: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    gpu.main()
    assert capsys.readouterr().out.startswith("There is no GPU here")
