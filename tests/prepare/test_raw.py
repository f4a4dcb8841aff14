"""The raw DeepFashion folder: what it holds and how it is split."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcld.dataset.layout import parse_identity, parse_outfit
from mcld.errors import InputError
from mcld.prepare.raw import find_lists, find_raw, link_or_copy, make_own_split
from tests.prepare.raw_folder import publish_lists

RAW = "WOMEN/Tees_Tanks/id_00007838/05_7_additional.jpg"
FLAT = "fashionWOMENTees_Tanksid0000783805_7additional.jpg"


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


@pytest.mark.parametrize("parent", [".", "img_highres", "img"])
def test_raw_pictures_are_found_in_each_of_the_known_places(tmp_path: Path, parent: str) -> None:
    touch(tmp_path / parent / RAW)
    assert find_raw(tmp_path).paths == {FLAT: tmp_path / parent / RAW}


def test_files_without_a_flat_name_are_told_and_left_out(tmp_path: Path) -> None:
    touch(tmp_path / RAW)
    touch(tmp_path / "img" / RAW)
    touch(tmp_path / "MEN/Pants/02_1_front.jpg")
    touch(tmp_path / "MEN/Pants/person/02_1_front.jpg")
    touch(tmp_path / "MEN/Pants/notes.txt")
    raw = find_raw(tmp_path)
    assert list(raw.paths) == [FLAT]
    assert set(raw.refused) == {
        f"img/{RAW}",
        "MEN/Pants/02_1_front.jpg",
        "MEN/Pants/person/02_1_front.jpg",
    }
    assert "same flat name" in raw.refused[f"img/{RAW}"]


def test_what_a_mac_puts_beside_pictures_is_no_picture(tmp_path: Path) -> None:
    touch(tmp_path / RAW)
    touch(tmp_path / RAW.replace("05_7", "._05_7"))
    touch(tmp_path / "WOMEN/Tees_Tanks/.thumbnails/05_7_additional.jpg")
    touch(tmp_path / "WOMEN/Tees_Tanks/id_00007838/Thumbs.db")
    raw = find_raw(tmp_path)
    assert list(raw.paths) == [FLAT]
    assert not raw.refused


def test_pictures_of_other_formats_are_told_and_not_those_of_a_jpeg(tmp_path: Path) -> None:
    folder = "WOMEN/Own/id_00000001"
    for name in ("01_1_front.jpg", "01_1_front.heic", "01_1_front_segment.png", "01_2_front.HEIC"):
        touch(tmp_path / folder / name)
    touch(tmp_path / "WOMEN/Own/id_00000002/01_1_front.webp")
    assert find_raw(tmp_path).refused == {
        f"{folder}/01_2_front.HEIC": "is HEIC: save it as JPEG",
        "WOMEN/Own/id_00000002/01_1_front.webp": "is WEBP: save it as JPEG",
    }


def test_with_nothing_to_split_the_error_says_what_was_left_out(tmp_path: Path) -> None:
    for person in (1, 2):
        touch(tmp_path / f"MEN/Own/id_0000000{person}/01_1_front.png")
    with pytest.raises(InputError, match=r"0 people.*2, such as MEN/Own/\S+: is PNG: save it as"):
        find_lists(tmp_path, None, find_raw(tmp_path))


def test_names_with_spaces_and_other_alphabets_are_pictures_like_others(tmp_path: Path) -> None:
    touch(tmp_path / "WOMEN/Tees Tanks/id_00000001/05_7_спереди\u3000正面.jpg")
    assert list(find_raw(tmp_path).paths) == [
        "fashionWOMENTees Tanksid0000000105_7спереди\u3000正面.jpg"
    ]


NAMES = st.builds(
    lambda person, outfit, view: f"fashionMENPantsid{person:08d}{outfit:02d}_{view}front.jpg",
    st.integers(0, 60),
    st.integers(1, 3),
    st.integers(1, 5),
)


@given(st.sets(NAMES, min_size=1))
def test_our_own_split_keeps_people_apart_and_pairs_one_outfit(names: set[str]) -> None:
    people = {parse_identity(name) for name in names}
    if len(people) < 2:
        with pytest.raises(InputError, match="1 people"):
            make_own_split(sorted(names))
        return
    lists = make_own_split(sorted(names))
    assert sorted(lists.names["train"] + lists.names["test"]) == sorted(names)
    tested = {parse_identity(name) for name in lists.names["test"]}
    assert not tested & {parse_identity(name) for name in lists.names["train"]}
    assert len(tested) == max(1, round(len(people) / 10))
    for split in ("train", "test"):
        assert set(lists.pairs[split]) == {
            (a, b)
            for a in lists.names[split]
            for b in lists.names[split]
            if a != b and parse_outfit(a) == parse_outfit(b)
        }


def test_the_published_lists_are_taken_as_they_are(tmp_path: Path) -> None:
    touch(tmp_path / RAW)
    other = FLAT.replace("additional", "front")
    for place in ("split", "."):
        publish_lists(tmp_path / place, [FLAT, other], [])
        lists = find_lists(tmp_path, None, find_raw(tmp_path))
        assert lists.source == tmp_path / place
        assert lists.names == {"train": [FLAT, other], "test": []}
        assert lists.pairs["train"] == [(FLAT, other), (other, FLAT)]
        shutil.rmtree(tmp_path / "split", ignore_errors=True)


@pytest.mark.parametrize(
    "name", ["../evil.jpg", "/etc/passwd.jpg", "a.png", "a\\b.jpg", "._a.jpg", "x" * 300]
)
def test_a_line_that_leads_elsewhere_is_refused_and_the_rest_taken(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "test.lst").write_text("")
    (tmp_path / "test.csv").write_text("from,to\n")
    (tmp_path / "train.lst").write_text(f"{FLAT}\n{name}\n")
    (tmp_path / "train.csv").write_text(f"from,to\n{FLAT},{FLAT}\n")
    with (tmp_path / "train.csv").open("a") as table:
        table.write(f"{FLAT},{name}\n")
    lists = find_lists(tmp_path, None, find_raw(tmp_path))
    assert lists.names["train"] == [FLAT]
    assert lists.pairs["train"] == [(FLAT, FLAT)]
    assert set(lists.refused) == {"train.lst, line 2", "train.csv, line 3"}


def test_a_short_row_is_reported_by_its_line_and_stops_nothing(tmp_path: Path) -> None:
    publish_lists(tmp_path, [FLAT], [])
    (tmp_path / "train.csv").write_text(f"from,to\n\n{FLAT},{FLAT}\n{FLAT}\n{FLAT},{FLAT}\n")
    lists = find_lists(tmp_path, None, find_raw(tmp_path))
    assert lists.pairs["train"] == [(FLAT, FLAT), (FLAT, FLAT)]
    assert list(lists.refused) == ["train.csv, line 4"]


def test_half_a_set_of_lists_is_not_guessed_at(tmp_path: Path) -> None:
    publish_lists(tmp_path / "split", [FLAT], [])
    (tmp_path / "split" / "test.csv").unlink()
    with pytest.raises(InputError, match=r"split lacks test\.csv"):
        find_lists(tmp_path, None, find_raw(tmp_path))
    with pytest.raises(InputError, match=r"lacks train\.lst, train\.csv"):
        find_lists(tmp_path, tmp_path, find_raw(tmp_path))
    with pytest.raises(InputError, match="elsewhere is no folder"):
        find_lists(tmp_path, tmp_path / "elsewhere", find_raw(tmp_path))


def test_a_picture_is_linked_where_that_is_possible_and_else_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / RAW)
    (tmp_path / RAW).chmod(0o400)
    link_or_copy(tmp_path / RAW, tmp_path / "train" / FLAT)
    assert (tmp_path / "train" / FLAT).samefile(tmp_path / RAW)
    assert (tmp_path / RAW).stat().st_mode & 0o777 == 0o400

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    link_or_copy(tmp_path / RAW, tmp_path / "test" / FLAT)
    assert not (tmp_path / "test" / FLAT).samefile(tmp_path / RAW)
    assert (tmp_path / "test" / FLAT).read_bytes() == b"x"
