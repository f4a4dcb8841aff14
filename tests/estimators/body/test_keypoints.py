"""Keypoints in files: OpenPose's, COCO's and the field's own tables are the same person."""

import json
from pathlib import Path

import numpy as np
import pytest

from mcld.errors import InputError
from mcld.estimators.body.estimator import draw_keypoints
from mcld.estimators.body.keypoints import _LAYOUTS, lay_canvas, read_keypoints

# A person who stands, seen from the front, of BlazePose's landmarks, in a picture of 256x176.
PLACES = {
    0: (88, 40),
    2: (92, 36),
    5: (84, 36),
    7: (98, 38),
    8: (78, 38),
    11: (108, 66),
    12: (68, 66),
    13: (114, 96),
    14: (62, 96),
    15: (116, 124),
    16: (60, 124),
    23: (99, 126),
    24: (77, 126),
    25: (100, 172),
    26: (76, 172),
    27: (101, 218),
    28: (75, 218),
}


def points(count: int) -> list[list[float]]:
    """The person in a layout of so many keypoints, [x, y, confidence] each."""
    places = [PLACES.get(k, (0, 0)) if k is not None else (0, 0) for k in _LAYOUTS[count]]
    return [[x, y, float(x > 0)] for x, y in places]


def openpose(count: int, *others: list[list[float]]) -> dict:
    people = [points(count), *others]
    return {"people": [{"pose_keypoints_2d": np.ravel(one).tolist()} for one in people]}


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


TABLE = (
    "name:keypoints_y:keypoints_x\n"
    f"a.jpg: {[y or -1 for _, y, _ in points(18)]}: {[x or -1 for x, _, _ in points(18)]}\n"
)


@pytest.mark.parametrize(
    "content",
    [
        openpose(18),
        openpose(25),
        {"annotations": [{"keypoints": np.ravel(points(17)).tolist(), "num_keypoints": 17}]},
        [{"keypoints": np.ravel(points(17)).tolist(), "score": 0.9}],
        points(17),
    ],
    ids=["BODY_18", "BODY_25", "COCO", "COCO results", "list"],
)
def test_each_form_is_the_same_person(tmp_path, content):
    found = read_keypoints(write(tmp_path / "pose.json", content))
    assert set(np.flatnonzero(found.known)) == set(PLACES)
    assert all(found.places[k].tolist() == list(place) for k, place in PLACES.items())


def test_a_row_of_a_table_is_read(tmp_path):
    file = write(tmp_path / "annotation.csv", TABLE)
    found = read_keypoints(file)
    assert set(np.flatnonzero(found.known)) == set(PLACES)
    write(file, TABLE + TABLE.splitlines()[1].replace("a.jpg", "b.jpg"))
    assert read_keypoints(Path(f"{file}#b.jpg")).known.sum() == len(PLACES)
    with pytest.raises(InputError, match=r"has 2 rows: name one, as annotation\.csv#a\.jpg"):
        read_keypoints(file)
    with pytest.raises(InputError, match=r"has no row 'c\.jpg'"):
        read_keypoints(Path(f"{file}#c.jpg"))


def test_of_several_people_the_largest_counts_or_one_by_number(tmp_path):
    small = [[x / 3, y / 3, c] for x, y, c in points(18)]
    file = write(tmp_path / "two.json", openpose(18, small))
    assert np.ptp(read_keypoints(file).places[:, 1]) > 150
    second = read_keypoints(file, 2)
    assert np.ptp(second.places[second.known][:, 1]) < 100
    with pytest.raises(InputError, match="no person 3"):
        read_keypoints(file, 3)


def test_the_size_of_the_picture_is_kept_where_the_file_tells_it(tmp_path):
    told = {**openpose(18), "canvas_height": 256, "canvas_width": 176}
    assert lay_canvas(read_keypoints(write(tmp_path / "a.json", told)))[1] == (256, 176)
    shares = [[x / 176, y / 256, c] for x, y, c in points(17)]
    found = read_keypoints(write(tmp_path / "b.json", shares))
    places, size = lay_canvas(found)
    assert size == (1024, 704)
    assert places[found.known].min() > 50


def test_keypoints_become_a_map_with_each_part_where_it_belongs(tmp_path):
    told = {**openpose(25), "canvas_height": 256, "canvas_width": 176}
    labels = draw_keypoints(read_keypoints(write(tmp_path / "a.json", told)))[..., 0]
    assert labels.shape == (256, 176)
    assert labels[90, 88] == 2
    assert {labels[40, 84], labels[40, 92]} == {23, 24}
    assert labels[150, 99] == 10
    assert labels[150, 77] == 9
    assert labels[200, 100] == 14
    assert not labels[[0, -1]].any()


def test_the_body_is_whole_and_its_joints_are_at_the_keypoints(tmp_path):
    told = {**openpose(18), "canvas_height": 256, "canvas_width": 176}
    labels = draw_keypoints(read_keypoints(write(tmp_path / "a.json", told)))[..., 0]
    assert set(np.unique(labels)) >= {0, 2, 3, 4, 5, 6, 9, 10, 13, 14, 23, 24}
    for foot, ankle in ((5, 27), (6, 28)):
        rows, columns = np.nonzero(labels == foot)
        assert abs(columns.mean() - PLACES[ankle][0]) < 8
        assert -6 < rows.min() - PLACES[ankle][1] < 10
    for hand, wrist in ((4, 15), (3, 16)):
        rows, columns = np.nonzero(labels == hand)
        assert abs(columns.mean() - PLACES[wrist][0]) < 8
        assert abs(rows.min() - PLACES[wrist][1]) < 8


def test_half_a_body_gives_the_same_map_wherever_it_stands(tmp_path):
    half = [[x, y, c if y < 110 else 0] for x, y, c in points(17)]
    maps = []
    for shift in (0, 400):
        people = {
            "people": [
                {"keypoints": np.ravel([[x + shift, y + shift, c] for x, y, c in half]).tolist()}
            ]
        }
        told = {**people, "height": 800, "width": 800}
        maps.append(draw_keypoints(read_keypoints(write(tmp_path / "a.json", told)))[..., 0])
    first, second = maps[0][:400, :400], maps[1][400:, 400:]
    assert (first > 0).sum() > 2000
    assert (first == second).mean() > 0.99


def test_pictures_of_a_coco_file_have_their_own_sizes(tmp_path):
    person = np.ravel(points(17)).tolist()
    told = {
        "images": [{"id": 1, "height": 64, "width": 64}, {"id": 2, "height": 256, "width": 176}],
        "annotations": [{"image_id": 2, "keypoints": person}],
    }
    assert read_keypoints(write(tmp_path / "a.json", told)).size == (256, 176)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is no JSON"),
        ("[" * 50_000, "is no JSON"),
        ("{}", "holds no keypoints"),
        ({"people": []}, "holds no keypoints"),
        ([[1, 2, 1]] * 7, "not numbers of shape 7x3"),
        ([[5.0, 5.0, 1.0]] * 17, "all keypoints lie in one place"),
        ([[0.5, 0.5, 1.0]] * 17, "all keypoints lie in one place"),
        ([[10**400, 2, 1]] * 17, "are no numbers"),
        ([[float("nan"), 2, 1]] * 17, "0 keypoints are seen"),
        ([[1e30, 2, 1]] * 17, "0 keypoints are seen"),
        (points(17)[:2] + [[0, 0, 0]] * 15, "2 keypoints are seen"),
        ({"people": [{"pose_keypoints_2d": ["a"] * 54}]}, "are no numbers"),
    ],
)
def test_what_is_no_pose_is_told(tmp_path, content, reason):
    with pytest.raises(InputError, match=reason):
        read_keypoints(write(tmp_path / "x.json", content))


def test_what_is_no_table_is_told(tmp_path):
    for content, reason in (
        ("a,b\n1,2\n", "is no table of keypoints"),
        ("name:keypoints_y:keypoints_x\na.jpg:[1, 2]:__import__('os')\n", "are no numbers"),
        ("", "is no table of keypoints"),
    ):
        with pytest.raises(InputError, match=reason):
            read_keypoints(write(tmp_path / "x.csv", content))
    for name, reason in (("", "names no file"), ("z.json", "does not exist")):
        with pytest.raises(InputError, match=reason):
            read_keypoints(tmp_path / name if name else Path("#1"))
    (tmp_path / "y.json").write_bytes(b"\xff\xfe\0\x81")
    with pytest.raises(InputError, match="it is no text"):
        read_keypoints(tmp_path / "y.json")
