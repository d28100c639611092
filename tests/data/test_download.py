"""Downloads, by torchvision's own code from a server of our own."""

import functools
import gzip
import hashlib
import io
import pickle
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from mtl_core import DataMissing, InputError
from mtl_core.data import sources

torchvision = pytest.importorskip("torchvision")

IMAGES = np.arange(42 * 784, dtype=np.uint32).astype(np.uint8).reshape(42, 28, 28)
LABELS = (np.arange(42) % 10).astype(np.uint8)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder, which does not exist yet."""
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """What the server has: 42 images as four idx.gz files."""
    parts = (IMAGES[:30], LABELS[:30], IMAGES[30:], LABELS[30:])
    files = sources._SOURCES["fashion_mnist"].files
    (tmp_path / "served").mkdir()
    for file, part in zip(files, parts, strict=True):
        sizes = b"".join(n.to_bytes(4, "big") for n in part.shape)
        content = gzip.compress(bytes([0, 0, 8, part.ndim]) + sizes + part.tobytes())
        (tmp_path / "served" / file).write_bytes(content)
    return tmp_path / "served"


@contextmanager
def serving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server of a folder's files."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "*")
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
        thread.join()


@pytest.fixture
def server(served: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """FashionMNIST's."""
    with serving(served, monkeypatch) as address:
        dataset = torchvision.datasets.FashionMNIST
        monkeypatch.setattr(dataset, "mirrors", [address])
        sums = [(f.name, hashlib.md5(f.read_bytes()).hexdigest()) for f in files(served)]
        monkeypatch.setattr(dataset, "resources", sums)
        yield address


def files(served: Path) -> list[Path]:
    return [served / file for file in sources._SOURCES["fashion_mnist"].files]


def assert_fails(folder: Path, *parts: str) -> None:
    """One line, and nothing that would be taken for the data."""
    with pytest.raises(DataMissing) as caught:
        sources.download("fashion_mnist")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("FashionMNIST could not be downloaded (")
    assert message.endswith(f"check the network, or put fashion_mnist.npz into {folder}")
    for part in parts:
        assert part in message
    assert sources.state("fashion_mnist").state == "downloadable"


def test_a_download_is_found_and_read(folder: Path, server: str) -> None:
    assert sources.state("fashion_mnist").state == "downloadable"
    path = sources.download("fashion_mnist")
    assert path == folder / "FashionMNIST" / "raw"
    assert sources.state("fashion_mnist").state == "found"
    images, labels = sources.read("fashion_mnist")
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


def test_torchvision_takes_the_folder_for_its_own(folder: Path, server: str) -> None:
    sources.download("fashion_mnist")
    dataset = torchvision.datasets.FashionMNIST(str(folder), train=True, download=False)
    np.testing.assert_array_equal(dataset.data.numpy(), IMAGES[:30])


def test_bytes_of_the_download(folder: Path, served: Path, server: str) -> None:
    assert sources.downloaded_bytes("fashion_mnist") == 0
    sources.download("fashion_mnist")
    sizes = [path.stat().st_size for path in files(served)]
    assert sources.downloaded_bytes("fashion_mnist") == sum(sizes)
    assert sources.total_bytes("fashion_mnist") == 26_421_880 + 29_515 + 4_422_102 + 5_148


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_bytes_while_a_file_is_missing(folder: Path, served: Path, server: str, which: int) -> None:
    """A download that stops on the way counts what came, and goes on from there."""
    missing = files(served)[which]
    content = missing.read_bytes()
    missing.unlink()
    assert_fails(folder, missing.name, "404")
    before = sum(path.stat().st_size for path in files(served)[:which])
    assert sources.downloaded_bytes("fashion_mnist") == before
    missing.write_bytes(content)
    for path in files(served)[:which]:
        path.unlink()  # were they asked for again, it would fail
    sources.download("fashion_mnist")
    np.testing.assert_array_equal(sources.read("fashion_mnist")[0], IMAGES)


@pytest.mark.parametrize("which", [0, 3])
def test_a_wrong_checksum(folder: Path, served: Path, server: str, which: int) -> None:
    """Readable, but not what was published: never found, and fetched anew the next time."""
    path = files(served)[which]
    right = path.read_bytes()
    path.write_bytes(gzip.compress(gzip.decompress(right), mtime=1))
    assert_fails(folder, path.name, "corrupted")
    path.write_bytes(right)
    sources.download("fashion_mnist")
    np.testing.assert_array_equal(sources.read("fashion_mnist")[1], LABELS)


def test_half_unpacked_files_of_a_killed_download_are_not_trusted(
    folder: Path, server: str
) -> None:
    staged = folder / "downloading" / "FashionMNIST" / "raw"
    staged.mkdir(parents=True)
    for file in sources._SOURCES["fashion_mnist"].files:
        (staged / file.removesuffix(".gz")).write_bytes(b"\0\0\x08\x01")
    sources.download("fashion_mnist")
    np.testing.assert_array_equal(sources.read("fashion_mnist")[0], IMAGES)


def test_what_is_there_is_not_fetched(folder: Path, server: str) -> None:
    folder.mkdir()
    archive = folder / "fashion_mnist.npz"
    halves = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:0], "y_test": LABELS[:0]}
    np.savez(archive, **halves)  # type: ignore[arg-type]
    assert sources.download("fashion_mnist") == archive
    assert sources.downloaded_bytes("fashion_mnist") == 0


def test_no_server(folder: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    dataset = torchvision.datasets.FashionMNIST
    monkeypatch.setattr(dataset, "mirrors", [f"http://127.0.0.1:{port}/"])
    assert_fails(folder, "train-images-idx3-ubyte.gz", "refused")


def test_a_folder_that_cannot_be_written(folder: Path, server: str) -> None:
    folder.write_text("a file where the folder should be")
    assert_fails(folder, "Not a directory")


@pytest.fixture
def cifar_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serves the archive at the path that it yields: 30 images to train, 12 to test on."""
    (tmp_path / "served").mkdir()
    archive = tmp_path / "served" / "cifar-100-python.tar.gz"
    pixels = np.arange(42 * 3072, dtype=np.uint32).astype(np.uint8).reshape(42, 3072)
    with tarfile.open(archive, "w:gz") as tar:
        for name, rows in (("train", slice(30)), ("test", slice(30, None)), ("meta", slice(0))):
            labels = (np.arange(42) % 100)[rows].tolist()
            content = pickle.dumps({"data": pixels[rows], "fine_labels": labels}, protocol=2)
            member = tarfile.TarInfo(f"cifar-100-python/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with serving(tmp_path / "served", monkeypatch) as address:
        dataset = torchvision.datasets.CIFAR100
        monkeypatch.setattr(dataset, "url", f"{address}{archive.name}")
        monkeypatch.setattr(dataset, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
        yield archive


def test_cifar_is_fetched_checked_and_read_without_unpickling(
    folder: Path, cifar_server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("unpickled")

    for name in ("load", "loads"):
        monkeypatch.setattr(pickle, name, refuse)
    assert sources.state("cifar100").state == "downloadable"
    assert sources.download("cifar100") == folder / "cifar-100-python"
    images, labels = sources.read("cifar100")
    assert images.shape == (42, 32, 32, 3)
    assert images[0, 0, 1].tolist() == [1, 1, 1], "1,024 is a multiple of 256"
    np.testing.assert_array_equal(labels, np.arange(42))
    assert sources.downloaded_bytes("cifar100") == cifar_server.stat().st_size
    assert sources.total_bytes("cifar100") == 169_001_437


def test_a_wrong_archive_of_cifar_is_never_found(folder: Path, cifar_server: Path) -> None:
    right = cifar_server.read_bytes()
    cifar_server.write_bytes(right[:-1])
    with pytest.raises(DataMissing, match=r"^CIFAR-100 could not be downloaded \("):
        sources.download("cifar100")
    assert sources.state("cifar100").state == "downloadable"
    staged = folder / "downloading" / "cifar-100-python"
    (staged / "train").write_bytes(b"half a file of a killed download")
    cifar_server.write_bytes(right)
    sources.download("cifar100")
    assert len(sources.read("cifar100")[1]) == 42


def test_files_of_mnist_are_torchvisions() -> None:
    for name in ("mnist", "fashion_mnist"):
        source = sources._SOURCES[name]
        dataset = getattr(torchvision.datasets, source.torchvision)
        assert list(source.files) == [file for file, _ in dataset.resources]
    assert sources.total_bytes("mnist") == 9_912_422 + 28_881 + 1_648_877 + 4_542


def test_what_has_no_server_says_where_it_is_from(folder: Path) -> None:
    assert sources.state("notmnist").state == "missing"
    with pytest.raises(DataMissing) as caught:
        sources.download("notmnist")
    message = str(caught.value)
    assert message == sources.state("notmnist").message
    assert "\n" not in message
    assert message.startswith(f"notMNIST is not in {folder}: put notmnist.npz (x_train, y_train, ")
    assert "Yaroslav Bulatov" in message
    assert "python -m mtl_core" not in message


@pytest.mark.parametrize("act", [sources.download])
def test_an_unknown_data_set(act: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match=r"^unknown data set 'mnst'; one of: fashion_mnist"):
        act("mnst")
