"""Files of every kind that people have: the right ones give equal arrays, wrong ones one line."""

import gzip
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mtl_core import DataMissing, InputError, settings
from mtl_core.data import sources

Arrays = dict[str, NDArray[np.uint8]]
FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def arrays() -> Arrays:
    random = np.random.default_rng(2)
    return {
        "x_train": random.integers(0, 256, size=(30, 28, 28), dtype=np.uint8),
        "y_train": random.integers(0, 10, size=30, dtype=np.uint8),
        "x_test": random.integers(0, 256, size=(12, 28, 28), dtype=np.uint8),
        "y_test": random.integers(0, 10, size=12, dtype=np.uint8),
    }


def idx(array: NDArray[np.uint8]) -> bytes:
    """LeCun's format: two zeros, type 8 (unsigned byte), dimensions, sizes, then the bytes."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()


def write_idx(folder: Path, arrays: Arrays, *, zipped: bool) -> Path:
    raw = folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, file in FILES.items():
        content = idx(arrays[name])
        path = raw / (f"{file}.gz" if zipped else file)
        path.write_bytes(gzip.compress(content) if zipped else content)
    return raw


def assert_reads(arrays: Arrays) -> None:
    images, labels = sources.read("fashion_mnist")
    np.testing.assert_array_equal(images, np.concatenate([arrays["x_train"], arrays["x_test"]]))
    np.testing.assert_array_equal(labels, np.concatenate([arrays["y_train"], arrays["y_test"]]))
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_the_keras_layout(folder: Path, arrays: Arrays, save: Callable[..., None]) -> None:
    save(folder / "fashion_mnist.npz", **arrays)
    assert sources.find("fashion_mnist") == folder / "fashion_mnist.npz"
    assert_reads(arrays)


@pytest.mark.parametrize("kind", ["i1", "<i2", ">i4", "i8", "u1", "u2", "u4", ">u8"])
@pytest.mark.parametrize("column", [True, False])
def test_labels_may_be_of_any_type_of_whole_numbers(
    folder: Path, arrays: Arrays, kind: str, column: bool
) -> None:
    """As Keras and others return them."""
    labels = {name: a.astype(kind) for name, a in arrays.items() if name.startswith("y_")}
    if column:
        labels = {name: array[:, None] for name, array in labels.items()}
    np.savez(folder / "fashion_mnist.npz", **arrays | labels)  # type: ignore[arg-type]
    assert_reads(arrays)


DOTTED = {name: file.replace("-idx", ".idx") for name, file in FILES.items()}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "where",
    [
        "FashionMNIST/raw",
        "FashionMNIST",
        "FashionMNIST/archive",
        "FashionMNIST/raw/raw",
        "FashionMNIST/FashionMNIST/raw",
        "FashionMNIST/raw/{file}",
    ],
)
def test_reads_the_files_by_their_other_names_and_in_a_folder_too_many(
    folder: Path, arrays: Arrays, where: str, zipped: bool
) -> None:
    for name, file in DOTTED.items():
        content = idx(arrays[name])
        path = folder / where.format(file=FILES[name]) / (f"{file}.gz" if zipped else file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if zipped else content)
    assert sources.state("fashion_mnist").state == "found"
    assert_reads(arrays)


def test_the_names_that_are_looked_for_are_said(folder: Path, arrays: Arrays) -> None:
    for file in FILES.values():
        assert file in sources.state("fashion_mnist").message
    raw = write_idx(folder, arrays, zipped=True)
    (raw / "t10k-labels-idx1-ubyte.gz").rename(raw / "t10k-labels")
    said = sources.state("fashion_mnist").message
    assert "add t10k-labels-idx1-ubyte (or .gz) to FashionMNIST/raw there" in said
    assert "train-images" not in said


@pytest.mark.parametrize("zipped", [True, False])
def test_reads_torchvisions_folder(folder: Path, arrays: Arrays, zipped: bool) -> None:
    raw = write_idx(folder, arrays, zipped=zipped)
    assert sources.find("fashion_mnist") == raw
    assert_reads(arrays)


def test_idx_is_torchvisions_own_reading(folder: Path, arrays: Arrays) -> None:
    mnist = pytest.importorskip("torchvision.datasets.mnist")
    raw = write_idx(folder, arrays, zipped=False)
    np.testing.assert_array_equal(
        mnist.read_image_file(str(raw / FILES["x_test"])).numpy(), arrays["x_test"]
    )
    assert_reads(arrays)


def test_an_npz_goes_before_a_folder(folder: Path, arrays: Arrays) -> None:
    write_idx(folder, {name: array[:5] for name, array in arrays.items()}, zipped=False)
    np.savez(folder / "fashion_mnist.npz", **arrays)
    assert_reads(arrays)


def test_a_folder_that_lacks_a_file_is_none(folder: Path, arrays: Arrays) -> None:
    raw = write_idx(folder, arrays, zipped=True)
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataMissing):
        sources.find("fashion_mnist")


def test_missing_data_says_how_to_get_it(folder: Path) -> None:
    with pytest.raises(DataMissing) as caught:
        settings.get("fashion").load(["fashion1"])
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        f"FashionMNIST is not in {folder}",
        "python -m mtl_core download fashion_mnist",
        "fashion_mnist.npz (x_train, y_train, x_test, y_test)",
        "MTL_DATA_DIR",
    ):
        assert part in message


def test_data_state(folder: Path, arrays: Arrays) -> None:
    before = settings.get("fashion").data_state()
    assert before.state == "downloadable"
    assert "python -m mtl_core download fashion_mnist" in before.message
    np.savez(folder / "fashion_mnist.npz", **arrays)
    after = settings.get("fashion").data_state()
    assert (after.state, after.message) == ("found", str(folder / "fashion_mnist.npz"))


def test_data_dir_defaults_to_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    for unset in (None, ""):
        if unset is None:
            monkeypatch.delenv("MTL_DATA_DIR", raising=False)
        else:
            monkeypatch.setenv("MTL_DATA_DIR", unset)
        assert sources.data_dir() == Path.home() / ".cache" / "mtl-explorer"
    monkeypatch.setenv("MTL_DATA_DIR", "~/sets")
    assert sources.data_dir() == Path.home() / "sets"


def assert_damaged(path: Path, reason: str) -> None:
    """One line that names the file, what is wrong with it, and the way out."""
    with pytest.raises(InputError) as caught:
        settings.get("fashion").load(["fashion1"])
    message = str(caught.value)
    assert not isinstance(caught.value, DataMissing)
    assert "\n" not in message
    assert message.startswith(f"{path} is not a readable FashionMNIST (")
    assert re.search(reason, message), message
    assert message.endswith("); replace it, or remove it and download the data anew")


def npz(arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


def plain_npy(_: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(4))
    return buffer.getvalue()


def pickled(_: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.array([{}], dtype=object) for name in FILES})  # type: ignore[arg-type]
    return buffer.getvalue()


def not_arrays(_: Arrays) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in FILES:
            archive.writestr(f"{name}.txt", "hello")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda a: b"", "No data left in file"),
        (lambda a: b"<html>404</html>", "pickle"),
        (lambda a: npz(a)[:5_000], "not a zip file"),
        (lambda a: flipped(npz(a), 10_000), "Bad CRC-32"),
        (plain_npy, "."),
        (pickled, "[Oo]bject arrays|allow_pickle"),
        (not_arrays, "no array 'x_train'"),
    ],
)
def test_a_damaged_npz(
    folder: Path, arrays: Arrays, damage: Callable[[Arrays], bytes], reason: str
) -> None:
    path = folder / "fashion_mnist.npz"
    path.write_bytes(damage(arrays))
    assert_damaged(path, reason)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"y_test": None}, "it has no array 'y_test'"),
        ({"x_train": np.zeros((30, 28, 28), np.float32)}, "x_train is float32, not uint8"),
        ({"y_train": np.zeros(30, np.float64)}, "y_train is float64, not whole numbers"),
        ({"y_train": np.zeros(30, bool)}, "y_train is bool, not whole numbers"),
        ({"y_train": np.full(30, "3")}, "y_train is <U1, not whole numbers"),
        ({"y_test": np.full(12, -1)}, "y_test has labels from -1 to 0, not from 0 to at most 255"),
        ({"y_test": np.full(12, 256)}, "y_test has labels from 0 to 256, not from 0 to at most"),
        ({"y_test": np.full(12, 2**64 - 1, np.uint64)}, "y_test has labels from 0 to 18446744073"),
        ({"x_test": np.zeros((11, 28, 28), np.uint8)}, r"x_test is \(11, 28, 28\)"),
        ({"y_train": np.zeros((30, 2), np.uint8)}, r"y_train is \(30, 2\)"),
        ({"y_train": np.zeros((1, 30), np.uint8)}, r"y_train is \(1, 30\)"),
        ({"x_test": np.zeros((12, 32, 32), np.uint8)}, r"images are \(32, 32\), not \(28, 28\)"),
        ({"x_train": np.zeros((30, 28, 28, 1), np.uint8)}, r"images are \(28, 28, 1\)"),
        ({"x_train": np.zeros((30, 784), np.uint8)}, r"images are \(784,\)"),
        ({"x_train": np.uint8(3)}, r"x_train is \(\)"),
        ({"y_test": np.full(12, 10, np.uint8)}, "labels reach 10, not 9"),
    ],
)
def test_a_foreign_npz(
    folder: Path, arrays: Arrays, changes: dict[str, NDArray[np.uint8] | None], reason: str
) -> None:
    path = folder / "fashion_mnist.npz"
    changed = {name: array for name, array in (arrays | changes).items() if array is not None}
    np.savez(path, **changed)  # type: ignore[arg-type]
    assert_damaged(path, reason)


@pytest.mark.parametrize("file", FILES.values())
@pytest.mark.parametrize("kept", [0, 3, 10, -8])
def test_a_truncated_gz(folder: Path, arrays: Arrays, file: str, kept: int) -> None:
    raw = write_idx(folder, arrays, zipped=True)
    path = raw / f"{file}.gz"
    path.write_bytes(path.read_bytes()[:kept])
    assert_damaged(raw, ".")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("train-images-idx3-ubyte", b""),
        ("train-images-idx3-ubyte", b"\0\0"),
        ("t10k-images-idx3-ubyte", b"\0\0\x08\x03\0\0\0\x0c"),
        ("t10k-images-idx3-ubyte", idx(np.zeros((12, 28, 28), np.uint8))[:-1]),
        ("t10k-images-idx3-ubyte", idx(np.zeros((12, 28, 28), np.uint8)) + b"\0"),
        ("train-labels-idx1-ubyte", idx(np.zeros(29, np.uint8))),
        ("train-labels-idx1-ubyte", idx(np.full(30, 10, np.uint8))),
        ("train-labels-idx1-ubyte", b"\0\0\x0d" + idx(np.zeros(30, np.uint8))[3:]),
        ("train-images-idx3-ubyte", idx(np.zeros((30, 32, 32), np.uint8))),
        ("train-images-idx3-ubyte", b"<html>404</html>"),
    ],
)
def test_a_damaged_idx_file(folder: Path, arrays: Arrays, file: str, content: bytes) -> None:
    raw = write_idx(folder, arrays, zipped=False)
    (raw / file).write_bytes(content)
    assert_damaged(raw, ".")


def test_real_images_in_torchvisions_folder_are_the_same(
    fashion_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = fashion_data / "fashion_mnist.npz"
    if not archive.is_file():
        pytest.skip("needs FashionMNIST as fashion_mnist.npz")
    with np.load(archive) as opened:
        arrays = {name: opened[name] for name in FILES}
    images, labels = sources.read("fashion_mnist")
    write_idx(tmp_path, arrays, zipped=False)
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    other_images, other_labels = sources.read("fashion_mnist")
    np.testing.assert_array_equal(images, other_images)
    np.testing.assert_array_equal(labels, other_labels)
