from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcld.dataset.layout import DatasetLayout, flat_name, parse_identity
from mcld.dataset.pictures import write_jpeg
from mcld.errors import InputError

WORDS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=8)
NAMES = st.builds("fashion{}id{:08d}01_1front.jpg".format, WORDS, st.integers(0, 10**8 - 1))


@pytest.mark.parametrize(
    ("raw", "flat"),
    [
        (
            "WOMEN/Tees_Tanks/id_00007838/05_7_additional.jpg",
            "fashionWOMENTees_Tanksid0000783805_7additional.jpg",
        ),
        (
            "MEN/Denim/id_00000080/01_1_front.jpg",
            "fashionMENDenimid0000008001_1front.jpg",
        ),
    ],
)
def test_raw_paths_become_the_published_names(raw: str, flat: str) -> None:
    assert flat_name(raw) == flat


@given(
    gender=st.sampled_from(["MEN", "WOMEN"]),
    category=st.lists(WORDS, min_size=1, max_size=3).map("_".join),
    number=st.integers(0, 10**8 - 1),
    view=st.integers(1, 99),
    rest=st.lists(WORDS, min_size=1, max_size=3),
)
def test_a_flat_name_keeps_category_identity_and_view(
    gender: str, category: str, number: int, view: int, rest: list[str]
) -> None:
    flat = flat_name(f"{gender}/{category}/id_{number:08d}/{view:02d}_{'_'.join(rest)}.jpg")
    assert flat == f"fashion{gender}{category}id{number:08d}{view:02d}_{''.join(rest)}.jpg"
    assert parse_identity(flat) == f"fashion{gender}{category}id{number:08d}"


@pytest.mark.parametrize("path", ["05_7_additional.jpg", "/a/b/c/d_e.jpg", "a/b/c/d.jpg", ""])
def test_other_paths_have_no_flat_name(path: str) -> None:
    with pytest.raises(InputError, match="GENDER/CATEGORY"):
        flat_name(path)


def test_a_name_without_an_identity_is_refused() -> None:
    with pytest.raises(InputError, match="names no identity"):
        parse_identity("portrait.jpg")


@given(names=st.lists(NAMES))
def test_names_come_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    layout = DatasetLayout(tmp_path_factory.mktemp("dataset"))
    layout.write_names("train", names)
    assert layout.names("train") == names


@given(pairs=st.lists(st.tuples(NAMES, NAMES)))
def test_pairs_come_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
) -> None:
    layout = DatasetLayout(tmp_path_factory.mktemp("dataset"))
    layout.write_pairs("test", pairs)
    assert layout.pairs("test") == pairs


def test_lists_of_other_systems_are_read(tmp_path: Path) -> None:
    layout = DatasetLayout(tmp_path)
    layout.write_names("test", [])
    layout.list_file("test").write_bytes(b"\xef\xbb\xbf# mine\r\na.jpg\r\n  b.jpg \r\n\r\n")
    assert layout.names("test") == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    "table",
    [
        "from,to\r\na.jpg,b c.jpg\r\n\r\n",
        "from;to\na.jpg;b c.jpg\n;\n",
        "from\tto\na.jpg\tb c.jpg\n",
        "# pairs of the test split\n\nfrom,to\n # more\na.jpg,b c.jpg\n",
        "from, to\n a.jpg , b c.jpg \n",
        '"From" , "TO"\n"a.jpg" , "b c.jpg"\n',
        "\ufeffnumber;to;from;note\n1;b c.jpg;a.jpg;from, to\n",
        "to\tmask\tfrom\nb c.jpg\t\ta.jpg\n",
    ],
)
def test_tables_of_other_programs_are_read(tmp_path: Path, table: str) -> None:
    layout = DatasetLayout(tmp_path)
    layout.write_names("test", [])
    layout.pairs_file("test").write_bytes(table.encode())
    assert layout.pairs("test") == [("a.jpg", "b c.jpg")]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("a.jpg,b.jpg\n", "line 1: 'a.jpg,b.jpg' is not the first line"),
        ("\n# of mine\nsource target\n", "line 3: 'source target' is not"),
        ("from,to,to\n", "line 1: 'from,to,to' is not"),
        ("from to\n", "line 1: 'from to' is not"),
        ("x" * 200_000, "line 1: 'xxx"),
        ("", "line 1: '' is not"),
        ("\u00e9".encode("latin-1"), "is not text in UTF-8"),
    ],
)
def test_what_is_no_table_of_pairs_is_told_by_its_line(
    tmp_path: Path, table: str | bytes, told: str
) -> None:
    layout = DatasetLayout(tmp_path)
    layout.write_names("test", [])
    layout.pairs_file("test").write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(InputError, match=r"test\.csv") as error:
        layout.pairs("test")
    assert told in str(error.value)


def test_a_missing_list_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.lst is missing.*mcld prepare"):
        DatasetLayout(tmp_path).names("train")


def test_a_row_without_two_names_is_left_out(tmp_path: Path) -> None:
    layout = DatasetLayout(tmp_path)
    layout.write_names("test", [])
    layout.pairs_file("test").write_text("from,to\na.jpg\na.jpg,b.jpg\n,b.jpg\n")
    assert layout.pairs("test") == [("a.jpg", "b.jpg")]


def test_a_picture_knows_the_dataset_it_lies_in(tmp_path: Path) -> None:
    layout = DatasetLayout(tmp_path)
    write_jpeg(layout.image("test", "a"), np.zeros((8, 8, 3), np.uint8))
    assert DatasetLayout.beside(layout.image("test", "a")) is None
    layout.densepose("test", "a").parent.mkdir()
    assert DatasetLayout.beside(layout.image("test", "a")) == (layout, "test", "a")
    assert DatasetLayout.beside(tmp_path / "other" / "a.jpg") is None
    assert DatasetLayout.beside(tmp_path / "test" / "a.png") is None


def test_rows_that_are_no_pair_are_said_and_none_at_all_is_an_error(tmp_path, caplog):
    layout = DatasetLayout(tmp_path)
    layout.pairs_file("test").parent.mkdir()
    layout.pairs_file("test").write_text("from,to\na.jpg,b.jpg\na,b.jpg\n")
    assert layout.pairs("test") == [("a.jpg", "b.jpg")]
    assert (
        "1 of 2 rows are no pair of flat names ending in .jpg, such as that on line 3"
        in caplog.text
    )
    layout.pairs_file("test").write_text("from,to\na,b\n")
    with pytest.raises(InputError, match=r"1 of 1 rows are no pair .* line 2"):
        layout.pairs("test")
