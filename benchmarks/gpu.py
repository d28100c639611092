"""Everything that a GPU decides, in one go: its tests, its benchmarks, and a table of verdicts.

    make gpu            (or: PYTHONPATH=. python benchmarks/gpu.py [--seconds 460])

On a machine without CUDA it says so and ends with 0. It needs neither Streamlit nor Altair nor a
network; FashionMNIST and MNIST have to be in `MTL_DATA_DIR`. Each step has its share of the time
and is ended with it, so that the others are still done. Results go into `benchmarks/gpu.json`, with
the card and the date, and into `benchmarks/README.md` between its two marks.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
MARKS = ("<!-- gpu: begin -->", "<!-- gpu: end -->")


@dataclass(frozen=True)
class Row:
    """A number that a step prints.

    Args:
        what: it is.
        found: a regular expression whose first group it is.
        budget: what is asked for.
        most: whether the budget is the most that it may be; else the least.
        unit: behind the number.
    """

    what: str
    found: str
    budget: float
    most: bool = False
    unit: str = "×"

    def verdict(self, value: float | None) -> str:
        """``met``, ``missed``, or ``not measured``."""
        if value is None:
            return "not measured"
        return "met" if (value <= self.budget if self.most else value >= self.budget) else "missed"


@dataclass(frozen=True)
class Step:
    """A command, its share of the time, and the numbers in what it prints."""

    name: str
    command: tuple[str, ...]
    share: float
    rows: tuple[Row, ...] = ()


def _methods(replicas: int, budget: float) -> tuple[Row, ...]:
    return tuple(
        Row(
            f"a step of LeNet with {title}, {replicas} replica{'s' if replicas > 1 else ''}: "
            "torchjd's time over ours",
            rf"lenet K=2 {replicas} replica\(s\) {name} +torchjd / ours +([\d.]+)",
            budget,
        )
        for name, title in (
            ("mgda", "MGDA"),
            ("pcgrad", "PCGrad"),
            ("cagrad", "CAGrad"),
            ("nash_mtl", "Nash-MTL"),
        )
    )


_PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "cuda")
_TESTS = ("tests/factors", "tests/training", "tests/optimizers", "tests/pareto")
STEPS = (
    Step("tests on CUDA", (*_PYTEST, *_TESTS), 0.3),
    Step(
        "whole questions",
        ("benchmarks/questions.py", "--device", "cuda"),
        0.2,
        (
            Row(
                "FashionMTL at the paper's size, nine networks: the plain loop's time over ours",
                r"9 networks: ([\d.]+) x the plain loop",
                20,
            ),
            Row("the same, all 100 epochs", r"100 epochs: ([\d.]+) s", 60, most=True, unit="s"),
            Row(
                "the digits question with factors",
                r"networks with factors: ([\d.]+) s",
                3,
                most=True,
                unit="s",
            ),
        ),
    ),
    Step(
        "factors",
        ("benchmarks/factors.py", "--device", "cuda", "--widths", "8"),
        0.15,
        (
            Row(
                "all factors of three LeNets: the plain loop's time over ours",
                r"width 8: .* ([\d.]+) x faster",
                15,
            ),
        ),
    ),
    Step(
        "optimizers",
        ("benchmarks/optimizers.py", "--device", "cuda"),
        0.15,
        (*_methods(1, 3), *_methods(8, 10)),
    ),
    Step(
        "many tasks",
        ("benchmarks/many_tasks.py", "--device", "cuda"),
        0.1,
        (
            Row(
                "a CIFAR-100 step, 20 heads, ResNet18 of width 64: the plain loop's time over ours",
                r"20 tasks, ResNet18 width 64.*: ([\d.]+) x",
                3,
            ),
            Row("memory of ours", r"memory, ours: ([\d,]+) MiB", float("inf"), True, "MiB"),
        ),
    ),
    Step(
        "fronts",
        ("benchmarks/pareto.py", "--real"),
        0.1,
        (
            Row(
                "an iteration of ten LeNets on MultiMNIST: our share of ten loops' time",
                r"cuda: 10 x LeNet, batch 256, sgd, independent: .* ([\d.]+) of the loops",
                0.15,
                most=True,
            ),
        ),
    ),
)


def card() -> str | None:
    """The name of this machine's GPU; None without CUDA."""
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else None


def value(row: Row, printed: str) -> float | None:
    """The last number of a row in what a step printed."""
    found = re.findall(row.found, printed)
    return float(found[-1].replace(",", "")) if found else None


def measure(steps: Sequence[Step], seconds: float) -> list[dict[str, Any]]:
    """Each step's end and numbers; a step that fails or runs out of time keeps what it printed."""
    found = []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *_inherited()])}
    for step in steps:
        started = time.monotonic()
        print(f"== {step.name}", flush=True)
        try:
            done = subprocess.run(
                [sys.executable, *step.command],
                cwd=ROOT,
                env={**environment, "PYTHONUNBUFFERED": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=step.share * seconds,
                text=True,
            )
            printed, end = done.stdout, "done" if done.returncode == 0 else "failed"
        except subprocess.TimeoutExpired as late:
            raw = late.stdout or b""
            printed = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
            end = "out of time"
        took = time.monotonic() - started
        print("\n".join(printed.splitlines()[-12:]), f"\n-- {end}, {took:.0f} s", flush=True)
        found.append(
            {
                "step": step.name,
                "command": " ".join(("python", *step.command)),
                "end": end,
                "seconds": round(took),
                "last_line": (printed.splitlines() or [""])[-1][:200],
                "rows": [
                    {
                        "what": row.what,
                        "value": (number := value(row, printed)),
                        "unit": row.unit,
                        "budget": None if row.budget == float("inf") else row.budget,
                        "verdict": "–" if row.budget == float("inf") else row.verdict(number),
                    }
                    for row in step.rows
                ],
            }
        )
    return found


def _inherited() -> list[str]:
    return [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []


def table(told: dict[str, Any]) -> str:
    """What was measured, in Markdown."""
    lines = [f"On {told['card']}, {told['date']}, by `make gpu`:", ""]
    lines += ["| what | measured | budget | verdict | command |", "|---|---|---|---|---|"]
    for step in told["steps"]:
        if not step["rows"]:
            told_of = f"{step['end']}: {step['last_line']}".replace("|", "/")
            lines.append(f"| {step['step']} | {told_of} | | | `{step['command']}` |")
        for row in step["rows"]:
            number = "–" if row["value"] is None else f"{row['value']:g} {row['unit']}"
            budget = "" if row["budget"] is None else f"{row['budget']:g} {row['unit']}"
            verdict = row["verdict"] + (f", {step['end']}" if step["end"] != "done" else "")
            lines.append(
                f"| {row['what']} | {number} | {budget} | {verdict} | `{step['command']}` |"
            )
    return "\n".join(lines)


def into_readme(text: str, readme: Path) -> None:
    """Puts the table between the two marks of a file."""
    before, rest = readme.read_text(encoding="utf-8").split(MARKS[0])
    _, after = rest.split(MARKS[1])
    readme.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=460)
    asked = parser.parse_args()
    name = card()
    if name is None:
        print("There is no GPU here: torch.cuda.is_available() is False. Nothing was measured.")
        return
    print(name)
    date = time.strftime("%Y-%m-%d", time.gmtime())
    told = {"card": name, "date": date, "steps": measure(STEPS, asked.seconds)}
    (HERE / "gpu.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    text = table(told)
    into_readme(text, HERE / "README.md")
    print("\n" + text)
    sys.exit(any(step["end"] == "failed" for step in told["steps"]))


if __name__ == "__main__":
    main()
