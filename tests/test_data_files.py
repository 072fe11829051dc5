"""budgetnet.data.files: finding, verifying and parsing files, and saying what is wrong with them."""

import contextlib
import dataclasses
import functools
import gzip
import hashlib
import http.server
import os
import re
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from budgetnet.commands import served_networks
from budgetnet.data import files
from budgetnet.data.files import DataError, find_data, load_files
from budgetnet.data.idx import IdxError, parse_idx
from budgetnet.definition import DataFile, DataSet

given = pytest.importorskip("hypothesis").given
st = pytest.importorskip("hypothesis.strategies")
hnp = pytest.importorskip("hypothesis.extra.numpy")

NAMES = ("train-images", "train-labels", "test-images", "test-labels")


def idx(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def contents(shape=(5, 4), train=12, test=6, classes=3) -> list[bytes]:
    rng = np.random.default_rng(0)
    found = []
    for n in (train, test):
        found += [idx(rng.integers(0, 256, (n, *shape), dtype=np.uint8)), idx(np.arange(n, dtype=np.uint8) % classes)]
    return found


def specification(content: list[bytes], image_shape=(1, 5, 4), mirrors=()) -> DataSet:
    named = tuple(DataFile(name, hashlib.sha256(c).hexdigest()) for name, c in zip(NAMES, content, strict=True))
    return DataSet("tiny", image_shape, 3, 0.5, 0.25, folder="Tiny/raw", files=named, mirrors=mirrors)


def put(root: Path, content: list[bytes], compressed=True) -> Path:
    folder = root / "Tiny/raw"
    folder.mkdir(parents=True)
    for name, c in zip(NAMES, content, strict=True):
        (folder / (f"{name}.gz" if compressed else name)).write_bytes(gzip.compress(c) if compressed else c)
    return root


@pytest.fixture
def content():
    return contents()


@pytest.fixture
def tiny(content):
    return specification(content)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty working directory with an empty parent, no environment variable, and a cache of its own."""
    work = tmp_path / "parent" / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.delenv("BUDGETNET_DATA", raising=False)
    monkeypatch.setenv("BUDGETNET_CACHE", str(tmp_path / "cache"))
    return work


# --- parsing ----------------------------------------------------------------------------------------------------------


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6)))
def test_any_array_survives_the_format(array):
    parsed = parse_idx(idx(array))
    assert parsed.dtype == np.uint8
    assert parsed.shape == array.shape
    assert np.array_equal(parsed, array)


@given(hnp.arrays(np.uint8, hnp.array_shapes(max_dims=3, max_side=5)), st.data())
def test_no_truncation_or_addition_passes(array, data):
    whole = idx(array)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(IdxError):
        parse_idx(whole[:cut])
    with pytest.raises(IdxError):
        parse_idx(whole + b"\0")


@given(st.binary(max_size=64))
def test_arbitrary_bytes_parse_or_are_refused(content):
    with contextlib.suppress(IdxError):
        assert idx(parse_idx(content)) == content


def test_other_element_types_are_named():
    with pytest.raises(IdxError, match="0x0d"):
        parse_idx(b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0")


# --- labels from 1 and transposed images, as EMNIST has them ----------------------------------------------------------


@pytest.fixture
def letters(tmp_path):
    """Files with labels from 1 to 3 and images stored column by column; their specification, and the upright images."""
    rng = np.random.default_rng(1)
    upright = [rng.integers(0, 256, (n, 5, 4), dtype=np.uint8) for n in (9, 6)]
    content = []
    for images in upright:
        content += [idx(np.ascontiguousarray(images.swapaxes(1, 2))), idx(np.arange(len(images), dtype=np.uint8) % 3 + 1)]
    put(tmp_path, content)
    return dataclasses.replace(specification(content), first_label=1, transposed=True), upright


def test_labels_from_one_and_transposed_images_are_read(letters, tmp_path):
    data_set, upright = letters
    images, labels, test_images, test_labels = load_files(data_set, tmp_path)
    assert np.array_equal(images[:, 0], upright[0])
    assert np.array_equal(test_images[:, 0], upright[1])
    assert labels.tolist() == [0, 1, 2] * 3
    assert test_labels.tolist() == [0, 1, 2] * 2
    assert [array.flags.writeable for array in (images, labels)] == [False, False]
    gallery_images, gallery_labels = served_networks.test_set(data_set, tmp_path)
    assert np.array_equal(gallery_images, test_images)
    assert np.array_equal(gallery_labels, test_labels)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"first_label": 0}, r"train-labels.* holds the labels 1 to 3; tiny has the classes 0 to 2: set .*first_label \(now 0\)"),
        ({"first_label": 2}, r"holds the labels 1 to 3; tiny has the classes 2 to 4: set .*first_label \(now 2\).* or classes \(now 3\)"),
        ({"classes": 2}, r"holds the labels 1 to 3; tiny has the classes 1 to 2: .*, or classes \(now 2\) to the number of classes"),
        ({"transposed": False}, r"holds an array of shape \(9, 4, 5\); expected \(number of images, 5, 4\)"),
    ],
)
def test_labels_and_shapes_outside_the_specification_are_named(letters, tmp_path, fields, message):
    with pytest.raises(DataError, match=message):
        load_files(dataclasses.replace(letters[0], **fields), tmp_path)


# --- where files are found --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [True, False])
def test_data_is_found_in_the_working_directory(tiny, content, elsewhere, compressed):
    put(elsewhere / "data", content, compressed)
    assert find_data(tiny, download=False) == Path("data")


def test_a_data_folder_of_an_unknown_user_is_an_error(tiny, monkeypatch):
    monkeypatch.setenv("BUDGETNET_DATA", "~no-such-user/data")
    with pytest.raises(DataError, match=r"~no-such-user/data \(given by BUDGETNET_DATA\) names no folder .*; write it without ~"):
        find_data(tiny, download=False)


def test_the_shared_directory_comes_after_the_own_one(tiny, content, elsewhere):
    put(elsewhere.parent / "shared/data", content)
    assert find_data(tiny, download=False) == Path("../shared/data")
    put(elsewhere / "data", content)
    assert find_data(tiny, download=False) == Path("data")


def test_an_incomplete_own_directory_is_passed_over(tiny, content, elsewhere):
    put(elsewhere / "data", content)
    (elsewhere / "data/Tiny/raw/test-labels.gz").unlink()
    put(elsewhere.parent / "shared/data", content)
    assert find_data(tiny, download=False) == Path("../shared/data")


def test_the_environment_variable_comes_before_the_own_directory(tiny, content, elsewhere, tmp_path, monkeypatch):
    put(elsewhere / "data", content)
    monkeypatch.setenv("BUDGETNET_DATA", str(put(tmp_path / "named", content)))
    assert find_data(tiny) == tmp_path / "named"


def test_the_argument_comes_before_the_environment_variable(tiny, content, tmp_path, monkeypatch):
    monkeypatch.setenv("BUDGETNET_DATA", str(tmp_path / "nowhere"))
    assert find_data(tiny, put(tmp_path / "given", content)) == tmp_path / "given"


def test_an_empty_environment_variable_counts_as_unset(tiny, content, elsewhere, monkeypatch):
    put(elsewhere / "data", content)
    monkeypatch.setenv("BUDGETNET_DATA", "")
    assert find_data(tiny) == Path("data")


@pytest.mark.parametrize("by_argument", [True, False])
def test_a_named_directory_without_the_files_is_an_error(tiny, content, elsewhere, tmp_path, monkeypatch, by_argument):
    put(elsewhere / "data", content)  # would be found, if the name were ignored
    named = tmp_path / "named"
    if not by_argument:
        monkeypatch.setenv("BUDGETNET_DATA", str(named))
    with pytest.raises(DataError, match="Tiny/raw/train-images") as error:
        find_data(tiny, named if by_argument else None)
    assert str(named) in str(error.value)
    assert ("--data" if by_argument else "BUDGETNET_DATA") in str(error.value)
    assert not named.exists()


def test_missing_data_without_a_download_says_where_it_looked(tiny, elsewhere):
    with pytest.raises(DataError, match="downloading is switched off") as error:
        find_data(tiny, download=False)
    assert str(elsewhere / "data") in str(error.value)
    assert str(elsewhere.parent / "shared/data") in str(error.value)


def test_missing_data_without_mirrors_cannot_be_downloaded(tiny):
    with pytest.raises(DataError, match="cannot be downloaded"):
        find_data(tiny)


# --- downloading ------------------------------------------------------------------------------------------------------


@pytest.fixture
def mirror(tmp_path):
    """A server on this machine: (its address, its directory, the paths asked for)."""
    pytest.importorskip("torchvision")
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    directory = tmp_path / "mirror"
    directory.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", directory, asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_without_a_network_the_failure_is_one_clear_sentence(content, elsewhere):
    pytest.importorskip("torchvision")
    refused = specification(content, mirrors=("http://127.0.0.1:9/one", "http://127.0.0.1:9/two/"))
    before = socket.getdefaulttimeout()
    with pytest.raises(DataError) as error:
        find_data(refused)
    message = str(error.value)
    assert "downloading it failed" in message
    assert "refused" in message
    assert "\n" not in message
    assert "http://127.0.0.1:9/one/train-images.gz" in message
    assert "http://127.0.0.1:9/two/train-images.gz" in message
    assert str(Path("data/Tiny/raw")) in message
    assert "--data" in message
    assert str(elsewhere.parent / "shared/data") in message
    assert list(elsewhere.iterdir()) == [], "a failed download leaves nothing behind"
    assert socket.getdefaulttimeout() == before


def test_a_download_fills_the_own_directory(content, mirror, elsewhere):
    address, directory, _ = mirror
    for name, c in zip(NAMES, content, strict=True):
        (directory / f"{name}.gz").write_bytes(gzip.compress(c))
    tiny = specification(content, mirrors=("http://127.0.0.1:9/", address))
    assert find_data(tiny) == Path("data")
    assert sorted(p.name for p in (elsewhere / "data/Tiny/raw").iterdir()) == sorted(f"{name}.gz" for name in NAMES)
    assert load_files(tiny, Path("data"))[0].shape == (12, 1, 5, 4)


def test_a_download_replaces_nothing(content, mirror, elsewhere):
    address, directory, asked = mirror
    for name, c in zip(NAMES, content, strict=True):
        (directory / f"{name}.gz").write_bytes(gzip.compress(c))
    put(elsewhere / "data", content)
    (elsewhere / "data/Tiny/raw/test-labels.gz").unlink()
    own = elsewhere / "data/Tiny/raw/train-images.gz"
    own.write_bytes(b"mine")
    find_data(specification(content, mirrors=(address,)))
    assert own.read_bytes() == b"mine"
    assert asked
    assert all("test-labels" in line for line in asked)


def test_a_mirror_that_answers_with_something_else_is_not_believed(content, mirror, elsewhere):
    address, directory, _ = mirror
    (directory / "train-images.gz").write_bytes(b"<html>please sign in</html>")
    with pytest.raises(DataError, match="wrong file") as error:
        find_data(specification(content, mirrors=(address,)))
    assert address in str(error.value)
    assert list(elsewhere.iterdir()) == []


# --- reading and verifying --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [True, False])
def test_files_are_read_compressed_or_not(tiny, content, tmp_path, compressed):
    images, labels, test_images, test_labels = load_files(tiny, put(tmp_path / "d", content, compressed))
    assert images.shape == (12, 1, 5, 4)
    assert test_images.shape == (6, 1, 5, 4)
    assert images.tobytes() == content[0][16:]
    assert labels.tolist() == [0, 1, 2] * 4
    assert test_labels.tolist() == [0, 1, 2] * 2


def test_the_plain_file_is_preferred(tiny, content, tmp_path):
    root = put(tmp_path / "d", content)
    (root / "Tiny/raw/train-images").write_bytes(content[0])
    (root / "Tiny/raw/train-images.gz").write_bytes(b"damaged, and not looked at")
    assert load_files(tiny, root)[0].shape == (12, 1, 5, 4)


def test_colour_images_have_their_channels(tmp_path):
    content = contents(shape=(3, 5, 4))
    assert load_files(specification(content, (3, 5, 4)), put(tmp_path / "d", content))[0].shape == (12, 3, 5, 4)


def test_files_are_verified_once_in_a_process(tiny, content, tmp_path, monkeypatch):
    root = put(tmp_path / "d", content)
    first = load_files(tiny, root)
    monkeypatch.setattr(files, "read_verified", None)
    assert load_files(tiny, root)[0] is first[0]


def test_a_file_that_changed_is_verified_again(tiny, content, tmp_path):
    root = put(tmp_path / "d", content, compressed=False)
    load_files(tiny, root)
    (root / "Tiny/raw/train-images").write_bytes(content[0][:-1])
    with pytest.raises(DataError):
        load_files(tiny, root)


def test_a_flipped_bit_is_named_with_both_sums(tiny, content, tmp_path):
    root = put(tmp_path / "d", content)
    wrong = content[2][:-1] + bytes([content[2][-1] ^ 1])
    path = root / "Tiny/raw/test-images.gz"
    path.write_bytes(gzip.compress(wrong))
    with pytest.raises(DataError, match=re.escape(str(path))) as error:
        load_files(tiny, root)
    assert hashlib.sha256(wrong).hexdigest() in str(error.value)
    assert tiny.files[2].sha256 in str(error.value)
    assert path.exists(), "never replaced"


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_no_flipped_bit_in_an_archive_passes(tmp_path_factory, at, bit):
    content = contents()
    path = tmp_path_factory.mktemp("flip") / "f.gz"
    archive = bytearray(gzip.compress(content[0], mtime=0))
    archive[at % len(archive)] ^= 1 << bit
    path.write_bytes(archive)
    refusal = None
    try:
        read = files.read_verified(path, hashlib.sha256(content[0]).hexdigest())
    except DataError as error:
        refusal = str(error)
    if refusal is None:
        assert read == content[0]  # a bit that means nothing, such as the time in the header
    else:
        assert str(path) in refusal


@pytest.mark.parametrize("keep", [0, 1, 9, 60, -1, -8])
def test_a_truncated_archive_is_named_with_the_expected_sum(tiny, content, tmp_path, keep):
    root = put(tmp_path / "d", content)
    path = root / "Tiny/raw/train-images.gz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=re.escape(str(path))) as error:
        load_files(tiny, root)
    assert tiny.files[0].sha256 in str(error.value)


def test_something_that_is_no_archive_is_named(tiny, content, tmp_path):
    root = put(tmp_path / "d", content)
    (root / "Tiny/raw/train-labels.gz").write_bytes(b"<html>404</html>")
    with pytest.raises(DataError, match=r"train-labels\.gz cannot be decompressed"):
        load_files(tiny, root)


def test_a_directory_in_the_place_of_a_file_is_named(tiny, content, tmp_path):
    root = put(tmp_path / "d", content)
    (root / "Tiny/raw/train-labels").mkdir()
    with pytest.raises(DataError, match="train-labels cannot be read: Is a directory"):
        load_files(tiny, root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tiny, content, tmp_path):
    root = put(tmp_path / "d", content)
    (root / "Tiny/raw/train-labels.gz").chmod(0)
    with pytest.raises(DataError, match=r"train-labels\.gz cannot be read: Permission denied"):
        load_files(tiny, root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter everything")
def test_a_directory_without_permission_is_named(tiny, content, tmp_path):
    root = put(tmp_path / "d", content)
    (root / "Tiny").chmod(0)
    try:
        with pytest.raises(DataError, match="cannot be looked at: Permission denied"):
            find_data(tiny, root)
    finally:
        (root / "Tiny").chmod(0o700)


def test_permission_errors_become_data_errors(tiny, content, tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    root = put(tmp_path / "d", content)
    monkeypatch.setattr(Path, "read_bytes", refuse)  # for machines where the tests run as root
    with pytest.raises(DataError, match=r"train-images\.gz cannot be read: Permission denied"):
        load_files(tiny, root)


def test_a_file_that_is_missing_is_named(tiny, content, tmp_path):
    root = put(tmp_path / "d", content)
    (root / "Tiny/raw/test-labels.gz").unlink()
    with pytest.raises(DataError, match="test-labels is missing"):
        load_files(tiny, root)


# --- right sums, wrong meaning: a user's own specification -------------------------------------------------------------


def refused(tmp_path, content, match, **changes):
    data_set = dataclasses.replace(specification(content), **changes)
    with pytest.raises(DataError, match=match):
        load_files(data_set, put(tmp_path / "d", content))


def test_images_of_another_shape_are_refused(tmp_path):
    refused(tmp_path, contents(shape=(4, 5)), r"train-images.gz holds an array of shape \(12, 4, 5\); expected \(number of images, 5, 4\)")


def test_images_without_their_channels_are_refused(tmp_path):
    refused(tmp_path, contents(), "expected", image_shape=(3, 5, 4))


def test_labels_in_another_number_are_refused(tmp_path):
    a, b = contents(), contents(train=11)
    refused(tmp_path, [a[0], b[1], a[2], a[3]], "one label for each of 12 images")


def test_labels_beyond_the_classes_are_refused(tmp_path):
    refused(tmp_path, contents(classes=4), "holds the labels 0 to 3; tiny has the classes 0 to 2: set .*")


def test_no_images_are_refused(tmp_path):
    refused(tmp_path, contents(train=0), "shape")


def test_something_else_than_idx_is_refused(tmp_path):
    content = contents()
    refused(tmp_path, [b"a picture, perhaps", *content[1:]], "train-images.gz is not a usable IDX file")
