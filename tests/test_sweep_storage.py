"""Storages that cannot be used: one sentence that says why and how to mend it, and never a password."""

import multiprocessing

import pytest

pytest.importorskip("optuna")

from budgetnet.sweep.storage import StorageError, Store


@pytest.mark.parametrize("content", [b"not a data base", b"SQLite format 3\0" + b"x" * 5000])
def test_a_damaged_file_is_one_sentence(tmp_path, content):
    (tmp_path / "trials.db").write_bytes(content)
    with pytest.raises(StorageError, match=r"trials\.db cannot be used \(DatabaseError: .*\); move the file away to begin anew"):
        Store(None, tmp_path)


@pytest.mark.parametrize(
    ("url", "match"),
    [("journal:{}/j.log", "j.log cannot be used"), ("sqlite:///{}/no/x.db", "has no folder"), ("nonsense", "nonsense.* cannot be used"),
     ("postgresql://me:secret@nowhere/db", "postgresql://nowhere/db cannot be used"),
     ("nosuchdriver://me:secret@in@nowhere/db?password=secret", "nosuchdriver://nowhere/db cannot be used"),
     ("postgresql://me:secret@nowhere:abc/db", "the storage postgresql:… cannot be used, because it is no URL; expected one such as"),
     ("postgresql//me:secret@nowhere", "is no URL"), ("journal:", "the storage journal: names no file; expected one, as in sqlite"),
     ("sqlite:///.", r"the storage sqlite:///\. names no file"), ("journal:/", "names no file"), ("sqlite:///{}", "names no file")],
)  # fmt: skip
def test_a_storage_that_cannot_be_opened_is_one_sentence_without_the_password(tmp_path, url, match):
    (tmp_path / "j.log").write_text('{"op_code": 0,\n{"x"\n')
    with pytest.raises(StorageError, match=match) as raised:
        Store(url.format(tmp_path), tmp_path / "study")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["postgresql://me:se%40cret@host/db", "postgresql://me@host/db?sslpassword=se%40cret"])
def test_a_driver_that_repeats_the_password_is_not_quoted(tmp_path, url):
    store = Store(None, tmp_path)
    store.url, store.file = url, None
    for said in ("for se@cret", "for se%40cret"):
        assert "cret" not in str(store.unusable(ValueError(said)))
    store.close()


def test_storage_opened_by_several_processes_at_once_is_created_once(tmp_path):
    def open_store(barrier, failures):
        barrier.wait()
        try:
            Store(None, folder).close()
        except StorageError as error:
            failures.put(str(error))
        failures.put(None)

    forked = multiprocessing.get_context("fork")
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        barrier, failures = forked.Barrier(3), forked.Queue()
        processes = [forked.Process(target=open_store, args=(barrier, failures)) for _ in range(3)]
        for process in processes:
            process.start()
        assert [failures.get(timeout=60) for _ in processes] == [None] * 3
        for process in processes:
            process.join()
