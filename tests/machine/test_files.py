"""Files and folders appear whole or not at all."""

import os
from pathlib import Path

import pytest

from mcld.errors import MCLDError
from mcld.machine.files import check_writable, write_folder_whole, write_whole


def test_a_file_appears_with_all_its_bytes_and_ordinary_rights(tmp_path: Path):
    with write_whole(tmp_path / "new" / "a.txt") as path:
        path.write_text("whole")
        assert not (tmp_path / "new" / "a.txt").exists()
        assert path.suffix == ".txt"
    made = tmp_path / "new" / "a.txt"
    assert made.read_text() == "whole"
    umask = os.umask(0)
    os.umask(umask)
    assert made.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_broken_off_write_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(ZeroDivisionError), write_whole(tmp_path / "a.txt") as path:
        path.write_text(str(1 / 0))
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_folder_replaces_the_old_one_whole(tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old").touch()
    with write_folder_whole(tmp_path / "run") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "new").write_text("x")
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["sub"]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_broken_off_folder_leaves_the_old_one_and_nothing_else(tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old").touch()
    with pytest.raises(ZeroDivisionError), write_folder_whole(tmp_path / "run") as folder:
        (folder / "new").write_text(str(1 / 0))
    assert [p.name for p in tmp_path.rglob("*")] == ["run", "old"]


@pytest.mark.parametrize("write", [write_whole, write_folder_whole])
def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path: Path, write):
    (tmp_path / "file").touch()
    with (
        pytest.raises(MCLDError, match=r"cannot write .*file/below"),
        write(tmp_path / "file" / "below"),
    ):
        pass


def test_a_name_that_is_too_long_cannot_be_written(tmp_path):
    with pytest.raises(MCLDError, match=r"cannot write .*File name too long"):
        check_writable(tmp_path / (300 * "o" + ".png"))
