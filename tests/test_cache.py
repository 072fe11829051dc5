"""What was decompressed is kept between starts, and verified like the data itself."""

import gzip
import hashlib
import re

import pytest

from budgetnet.data import verify
from budgetnet.data.verify import DataError, read_verified


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """An archive that was read once, its content's SHA-256, and the file in the cache that holds its content."""
    monkeypatch.setenv("BUDGETNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(verify, "WORTH_KEEPING", 1)
    path, sha256 = tmp_path / "f.gz", hashlib.sha256(b"content").hexdigest()
    path.write_bytes(gzip.compress(b"content"))
    read_verified(path, sha256)
    (copy,) = (tmp_path / "cache").iterdir()
    return path, sha256, copy


def test_an_archive_is_decompressed_once(kept, monkeypatch):
    path, sha256, _ = kept
    monkeypatch.setattr(gzip, "decompress", None)
    assert read_verified(path, sha256) == b"content"


def test_a_damaged_copy_is_not_believed_and_made_again(kept):
    path, sha256, copy = kept
    copy.write_bytes(b"Content")
    assert read_verified(path, sha256) == b"content"
    assert copy.read_bytes() == b"content"


@pytest.mark.parametrize("at", [11, -8, -1])  # in the compressed content, its checksum and its length
def test_a_flipped_bit_in_the_archive_is_found_although_its_content_is_kept(kept, at):
    path, sha256, _ = kept
    archive = bytearray(path.read_bytes())
    archive[at] ^= 1
    path.write_bytes(archive)
    with pytest.raises(DataError, match=re.escape(str(path))):
        read_verified(path, sha256)


def test_what_is_kept_is_held_against_the_specification(kept):
    path, _, _ = kept
    with pytest.raises(DataError, match="wrong content"):
        read_verified(path, "0" * 64)


def test_without_a_place_to_keep_it_the_content_is_read_all_the_same(kept, tmp_path, monkeypatch):
    path, sha256, _ = kept
    (tmp_path / "file").touch()
    monkeypatch.setenv("BUDGETNET_CACHE", str(tmp_path / "file" / "cache"))
    assert read_verified(path, sha256) == b"content"


def test_small_files_are_not_kept(kept, monkeypatch):
    path, sha256, copy = kept
    copy.unlink()
    monkeypatch.setattr(verify, "WORTH_KEEPING", 8)
    assert read_verified(path, sha256) == b"content"
    assert not copy.exists()
