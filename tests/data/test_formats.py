"""CIFAR-100 as it is published: small files in the exact layouts, and pickles that mean harm."""

import os
import pickle
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mtl_core import InputError
from mtl_core.data import sources

Split = tuple[NDArray[np.uint8], NDArray[np.uint8]]
SPLITS = {"train": 12, "test": 5}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def splits() -> dict[str, Split]:
    """Images (N, 32, 32, 3) and fine labels."""
    random = np.random.default_rng(5)
    return {
        name: (
            random.integers(0, 256, size=(size, 32, 32, 3), dtype=np.uint8),
            random.integers(0, 100, size=size, dtype=np.uint8),
        )
        for name, size in SPLITS.items()
    }


def flat(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, 3072) as the publisher has it: 1,024 red bytes, then green, then blue."""
    return np.stack(
        [image[:, :, channel].ravel() for image in images for channel in range(3)]
    ).reshape(len(images), 3072)


def python2(value: Any) -> bytes:
    """What Python 2 pickles at protocol 2, where a string is bytes."""
    if isinstance(value, str):
        return b"U" + bytes([len(value)]) + value.encode()
    if isinstance(value, list):
        return b"](" + b"".join(b"K" + bytes([number]) for number in value) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(python2(k) + python2(v) for k, v in value.items()) + b"u"
    shape = b"".join(b"M" + struct.pack("<H", size) for size in value.shape)
    kind = (
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN"
        + b"J\xff\xff\xff\xff" * 2
        + b"K\x00tb"
    )
    content = b"T" + struct.pack("<i", value.nbytes) + value.tobytes()
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01" + shape + b"\x86" + kind + b"\x89" + content + b"tb"
    )


def contents(split: Split) -> dict[str, Any]:
    images, labels = split
    return {
        "filenames": [],
        "batch_label": "a batch",
        "fine_labels": labels.tolist(),
        "coarse_labels": [0] * len(labels),
        "data": flat(images),
    }


def write_pickles(folder: Path, splits: dict[str, Split], dump: Callable[[Any], bytes]) -> Path:
    target = folder / "cifar-100-python"
    target.mkdir()
    for name, split in splits.items():
        (target / name).write_bytes(dump(contents(split)))
    return target


def write_records(folder: Path, splits: dict[str, Split]) -> Path:
    target = folder / "cifar-100-binary"
    target.mkdir()
    for name, (images, labels) in splits.items():
        coarse = np.zeros_like(labels)
        records = np.concatenate([coarse[:, None], labels[:, None], flat(images)], axis=1)
        (target / f"{name}.bin").write_bytes(records.tobytes())
    return target


def assert_reads(splits: dict[str, Split]) -> None:
    images, labels = sources.read("cifar100")
    np.testing.assert_array_equal(images, np.concatenate([x for x, _ in splits.values()]))
    np.testing.assert_array_equal(labels, np.concatenate([y for _, y in splits.values()]))
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)


def dumped(protocol: int) -> Callable[[Any], bytes]:
    return lambda value: pickle.dumps(value, protocol=protocol)


PICKLED: dict[str, Callable[[Any], bytes]] = {
    "python 2": lambda value: b"\x80\x02" + python2(value) + b".",
    **{f"protocol {number}": dumped(number) for number in (2, 3, 4)},
    "bytes for names": lambda value: pickle.dumps({k.encode(): v for k, v in value.items()}, 4),
    "by columns": lambda value: pickle.dumps(
        {**value, "data": np.asfortranarray(value["data"])}, 2
    ),
}


@pytest.mark.parametrize("how", PICKLED)
def test_reads_torchvisions_folder(folder: Path, splits: dict[str, Split], how: str) -> None:
    target = write_pickles(folder, splits, PICKLED[how])
    assert sources.find("cifar100") == target
    assert sources.state("cifar100").files == (target / "train", target / "test")
    assert_reads(splits)


def test_torchvision_reads_the_same(folder: Path, splits: dict[str, Split]) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    target = write_pickles(folder, splits, PICKLED["python 2"])
    (target / "meta").write_bytes(pickle.dumps({"fine_label_names": []}))

    class Unchecked(datasets.CIFAR100):  # type: ignore[misc, name-defined]
        train_list = (("train", None),)
        test_list = (("test", None),)
        meta = {"filename": "meta", "key": "fine_label_names", "md5": None}  # noqa: RUF012

    for train, name in ((True, "train"), (False, "test")):
        theirs = Unchecked(str(folder), train=train)
        np.testing.assert_array_equal(theirs.data, splits[name][0])
        assert list(theirs.targets) == splits[name][1].tolist()
    assert_reads(splits)


def test_reads_the_records_for_c(folder: Path, splits: dict[str, Split]) -> None:
    target = write_records(folder, splits)
    assert sources.find("cifar100") == target
    assert_reads(splits)


def test_reads_the_keras_layout_first(folder: Path, splits: dict[str, Split]) -> None:
    write_records(folder, {name: (x[:1], y[:1]) for name, (x, y) in splits.items()})
    (x_train, y_train), (x_test, y_test) = splits.values()
    np.savez(
        folder / "cifar100.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test
    )
    assert_reads(splits)


@pytest.mark.parametrize("kind", [np.int64, np.uint16, np.int32])
def test_reads_labels_as_keras_returns_them(
    folder: Path, splits: dict[str, Split], kind: type[np.integer[Any]]
) -> None:
    arrays = {
        f"{part}_{name}": each if part == "x" else each[:, None].astype(kind)
        for name, split in splits.items()
        for part, each in zip("xy", split, strict=True)
    }
    np.savez(folder / "cifar100.npz", **arrays)  # type: ignore[arg-type]
    assert_reads(splits)


@pytest.mark.parametrize("layout", ["cifar-100-python", "cifar-100-binary"])
def test_a_folder_too_many_is_gone_through(
    folder: Path, splits: dict[str, Split], layout: str
) -> None:
    if layout.endswith("binary"):
        write_records(folder, splits)
    else:
        write_pickles(folder, splits, PICKLED["python 2"])
    (folder / layout).rename(folder / "moving")
    (folder / layout).mkdir()
    (folder / "moving").rename(folder / layout / layout)
    assert sources.find("cifar100") == folder / layout / layout
    assert_reads(splits)


@pytest.mark.parametrize("layout", ["cifar-100-python", "cifar-100-binary"])
def test_a_folder_that_lacks_a_file_is_none(
    folder: Path, splits: dict[str, Split], layout: str
) -> None:
    write_pickles(folder, splits, PICKLED["python 2"])
    write_records(folder, splits)
    for path in (folder / layout).glob("test*"):
        path.unlink()
    assert sources.find("cifar100") != folder / layout
    assert_reads(splits)


def test_a_replaced_file_of_a_folder_changes_the_stamp(
    folder: Path, splits: dict[str, Split]
) -> None:
    target = write_records(folder, splits)
    before = sources.stamp("cifar100")
    os.utime(target / "test.bin", ns=(1, 1))
    assert sources.stamp("cifar100") != before
    assert sources.state("cifar100").stamp == sources.stamp("cifar100")


class Calls:
    """Pickles to a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def assert_refused(folder: Path, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        sources.read("cifar100")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{folder / 'cifar-100-python'} is not a readable CIFAR-100 (")
    assert reason in message
    assert message.endswith("; replace it, or remove it and download the data anew")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ["touch {}"], ".system"),
        (eval, ["open('{}', 'w')"], "builtins.eval"),
        (open, ["{}", "w"], "io.open"),
        (np.fromfile, ["{}"], "numpy.fromfile"),
        (getattr, [np.ndarray, "tofile"], "builtins.getattr"),
    ],
)
def test_a_pickle_calls_nothing(
    folder: Path,
    splits: dict[str, Split],
    function: Callable[..., Any],
    arguments: Sequence[Any],
    named: str,
    protocol: int,
) -> None:
    trace = folder / "trace"
    filled = [a.format(trace) if isinstance(a, str) else a for a in arguments]

    def dump(value: dict[str, Any]) -> bytes:
        return pickle.dumps({**value, "data": Calls(function, *filled)}, protocol)

    write_pickles(folder, splits, dump)
    assert_refused(folder, named.replace("builtins", "") if protocol < 3 else named)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Ran out of input"),
        (b"<html>404</html>", "("),
        (b"\x80\x02}.", "data"),
        (b"\x80\x02]q\x00.", "("),
        (b"\x80\x04\x8c\x15numpy.core.multiarray\x8c\x18_reconstruct.__globals__\x93.", "names"),
        (b"\x80\x02\x82\x07.", "extension"),
        (b"\x80\x02Pfile\n.", "persistent"),
    ],
)
def test_other_files_cost_one_line(
    folder: Path, splits: dict[str, Split], content: bytes, reason: str
) -> None:
    target = write_pickles(folder, splits, PICKLED["python 2"])
    (target / "train").write_bytes(content)
    assert_refused(folder, reason)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data": np.zeros((12, 3072))}, "not an array of bytes"),
        ({"data": np.zeros((12, 3073), np.uint8)}, "reshape"),
        ({"data": b"bytes"}, "("),
        ({"fine_labels": [100] * 12}, "labels reach 100, not 99"),
        ({"fine_labels": [1] * 11}, "x_train is (12, 32, 32, 3) and y_train is (11,)"),
        ({"fine_labels": ["a"] * 12}, "("),
        ({"fine_labels": [300] * 12}, "("),
    ],
)
def test_other_contents_cost_one_line(
    folder: Path, splits: dict[str, Split], changes: dict[str, Any], reason: str
) -> None:
    target = write_pickles(folder, splits, PICKLED["python 2"])
    (target / "train").write_bytes(pickle.dumps({**contents(splits["train"]), **changes}, 2))
    assert_refused(folder, reason)


@pytest.mark.parametrize("kept", [1, 3073, -1])
def test_truncated_records(folder: Path, splits: dict[str, Split], kept: int) -> None:
    target = write_records(folder, splits)
    path = target / "train.bin"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="cifar-100-binary is not a readable CIFAR-100"):
        sources.read("cifar100")


def test_real_images_in_the_published_layouts_are_the_same(
    cifar100_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = sources.read("cifar100")
    images, labels = images[:500], labels[:500].astype(np.uint8)
    splits = {"train": (images[:400], labels[:400]), "test": (images[400:], labels[400:])}
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    write_records(tmp_path, splits)
    assert_reads(splits)
