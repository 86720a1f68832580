from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from evface_edge.errors import ConfigError
from evface_edge.results import output_file
from evface_edge.results.output_file import check_output, whole_file


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with whole_file(path) as part:
        part.write_text("new")
        assert not path.exists()
        assert part.suffix == ".csv"
        assert part.name.startswith(".")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_keeps_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")

    def fail() -> None:
        with whole_file(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_writes_to_the_target_of_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    link.symlink_to(target)
    with whole_file(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_permissions_of_a_new_file(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a.csv") as part:
        part.write_text("new")
    (tmp_path / "b.csv").write_text("plain")
    assert (tmp_path / "a.csv").stat().st_mode == (tmp_path / "b.csv").stat().st_mode


@pytest.mark.parametrize("name", ["a.parquet", "missing/a.csv", "folder.csv"])
def test_outputs_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigError) as caught:
        check_output(tmp_path / name, {".json", ".csv"})
    assert (caught.value.field, caught.value.value) == ("output", str(tmp_path / name))


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # root may write everywhere, so that permissions alone do not test it
    monkeypatch.setattr(output_file.os, "access", lambda folder, mode: folder != tmp_path)
    with pytest.raises(ConfigError) as caught:
        check_output(tmp_path / "a.csv", {".csv"})
    error = caught.value
    assert (error.path, error.field) == (tmp_path / "a.csv", "output")
    assert error.fix == "choose another folder"
    assert str(error).count("a.csv") == 1


def test_errors_name_the_target(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "a.csv"
    with pytest.raises(FileNotFoundError) as caught, whole_file(path) as part:
        part.write_text("new")
    assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as caught, whole_file(path):
        (tmp_path / "other").read_text()
    assert caught.value.filename == str(tmp_path / "other")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_names_the_target(tmp_path: Path, number: int) -> None:
    """Errors of writing do not name a file."""
    with pytest.raises(OSError, match=os.strerror(number)) as caught, whole_file(tmp_path / "a"):
        raise OSError(number, os.strerror(number))
    assert caught.value.filename == str(tmp_path / "a")


def test_suffixes_in_capitals(tmp_path: Path) -> None:
    assert check_output(tmp_path / "A.CSV", {".csv"}) == tmp_path / "A.CSV"
