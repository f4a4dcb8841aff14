"""Files of body parameters: every common form is one pose, and what is none is told in a line."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mcld.body.parameters import (
    find_motion,
    list_gallery,
    list_motions,
    read_body,
    read_gallery,
    read_motion,
)
from mcld.body.pose_map import draw_pose_map
from mcld.body.shape import plain_shape, pose_vertices
from mcld.errors import InputError

RNG = np.random.default_rng(0)
BODY = RNG.normal(0, 0.1, (21, 3)).astype(np.float32)
ROOT = np.array([0, 0.3, 0], np.float32)


def write(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    "arrays",
    [
        {"body_pose": BODY, "global_orient": ROOT},
        {"body_pose": BODY.reshape(1, 63), "global_orient": ROOT[None], "betas": np.ones((1, 10))},
        {"body_pose": np.append(BODY, np.zeros((2, 3)), 0).ravel(), "global_orient": ROOT},
        {"poses": np.concatenate([ROOT, BODY.ravel(), np.zeros(90)])[None].astype(np.float32)},
        {"pose": np.concatenate([ROOT, BODY.ravel(), np.zeros(6)])},
    ],
    ids=["SMPL-X", "batch", "SMPL", "poses of SMPL-H", "pose of SMPL"],
)
def test_each_form_is_the_same_pose(tmp_path, arrays):
    found = read_body(write(tmp_path / "body.npz", **arrays))
    assert np.allclose(found.rotations, BODY, atol=1e-6)
    assert np.allclose(found.orientation, ROOT, atol=1e-6)
    assert found.betas.tolist() == ([1] * 10 if "betas" in arrays else [0] * 10)


def test_a_frame_of_a_motion_is_chosen_and_faces_the_camera(tmp_path):
    motion = np.zeros((4, 156), np.float32)
    motion[:, 0] = np.pi / 2  # AMASS: z is up
    motion[2, 3:66] = BODY.ravel()
    file = write(tmp_path / "walk.npz", poses=motion, mocap_framerate=60.0, gender="neutral")
    assert not read_body(file).rotations.any()
    found = read_body(Path(f"{file}#2"))
    assert np.allclose(found.rotations, BODY)
    labels = draw_pose_map(read_body(file))[..., 0]
    assert (labels == 2).sum() > 20 * (labels == 1).sum()
    assert np.nonzero(labels == 23)[0].mean() < np.nonzero(labels == 14)[0].mean()


def test_a_motion_whose_other_arrays_are_gone_is_still_known_by_its_upright_axis(tmp_path):
    motion = np.zeros((4, 156), np.float32)
    motion[:, 0] = np.pi / 2
    whole = read_body(write(tmp_path / "walk.npz", poses=motion, mocap_framerate=60.0))
    alone = read_body(write(tmp_path / "alone.npz", poses=motion))
    assert np.allclose(alone.orientation, whole.orientation, atol=1e-6)


def test_a_body_that_was_fitted_to_a_photo_stands_upright(tmp_path):
    file = write(tmp_path / "fit.npz", body_pose=BODY * 0, global_orient=[np.pi, 0, 0])
    labels = draw_pose_map(read_body(file))[..., 0]
    assert np.nonzero(labels == 23)[0].mean() < np.nonzero(labels == 14)[0].mean()


def test_the_camera_goes_round():
    body = read_gallery("standing")
    front, back, side = (draw_pose_map(body, turn)[..., 0] for turn in (0, 180, 90))
    assert (front == 2).sum() > 20 * (front == 1).sum()
    assert (back == 1).sum() > 20 * (back == 2).sum()
    assert (side == 23).sum() > 20 * (side == 24).sum()


@pytest.mark.parametrize("name", list_gallery())
def test_each_pose_that_comes_along_is_drawn(name):
    labels = draw_pose_map(read_gallery(name))[..., 0]
    assert len(np.unique(labels)) > 12
    assert not labels[[0, -1]].any()
    assert not labels[:, [0, -1]].any()


@pytest.mark.parametrize("name", list_motions())
def test_each_motion_that_comes_along_moves_on_the_ground_without_jumps(name):
    motion = read_motion(find_motion(Path(name)))
    assert 2 < len(motion.bodies) / 25 < 6
    lowest, before = [], None
    for body in motion.bodies[::5]:
        turned = Rotation.from_rotvec(body.orientation)
        vertices = pose_vertices(plain_shape(), body.rotations)
        placed = turned.apply(vertices) + body.place
        lowest.append(placed[:, 1].min())
        if before is not None:
            assert np.linalg.norm(placed - before, axis=1).max() < 0.75  # metres in a fifth of a s
        before = placed
    assert np.ptp(lowest) < 0.01
    turns = np.stack([body.rotations for body in motion.bodies])
    assert np.ptp(turns, axis=0).max() > 0.3


def test_a_file_of_the_name_of_a_motion_counts_before_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_motion(Path("walk")).suffix == ".npz"
    Path("walk").mkdir()
    assert find_motion(Path("walk")) == Path("walk")
    assert find_motion(Path("standing")) == Path("standing")


class Hostile:
    def __reduce__(self):
        return (exec, ("raise SystemExit(9)",))


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"body_pose": np.full((21, 3), np.nan)}, "not finite"),
        ({"body_pose": np.zeros((15, 3))}, "has 15 joints"),
        ({"keypoints": np.zeros((17, 2))}, "holds no pose"),
        ({"body_pose": np.array(["a"] * 63)}, "holds no numbers"),
        ({"body_pose": np.zeros(64)}, "axis-angle"),
        ({"body_pose": np.zeros(0)}, "no frame 0"),
        ({"body_pose": np.array([Hostile()], object)}, "Python objects"),
        ({"body_pose": np.zeros((1, 21, 3, 3))}, "some matrices of body_pose are no rotations"),
        ({"body_pose": np.tile(5 * np.eye(3), (1, 21, 1, 1))}, "are no rotations"),
        ({"body_pose": np.full((21, 3), 1e20)}, r"up to 1e\+20 of body_pose are no turns"),
        ({"body_pose": BODY, "betas": np.full(10, 1e3)}, "betas up to 1000 are no body's shape"),
    ],
    ids=[
        *("NaN", "skeleton", "keypoints", "text", "odd", "empty", "pickle", "matrices"),
        *("scaled", "huge", "betas"),
    ],
)
def test_what_is_no_body_is_told(tmp_path, arrays, reason):
    with pytest.raises(InputError, match=reason):
        read_body(write(tmp_path / "x.npz", **arrays))


def test_what_is_no_npz_or_has_no_such_frame_is_told(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK\3\4 cut short")
    with pytest.raises(InputError, match=r"is no \.npz"):
        read_body(tmp_path / "x.npz")
    with pytest.raises(InputError, match="does not exist"):
        read_body(tmp_path / "y.npz")
    file = write(tmp_path / "z.npz", poses=np.zeros((3, 72)))
    for frame, reason in (("3", "there is no frame 3"), ("-1", "no number of a frame")):
        with pytest.raises(InputError, match=reason):
            read_body(Path(f"{file}#{frame}"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: whole[:60] + b"\xff" * 8 + whole[68:],
        lambda whole: whole.replace(b"NUMPY", b"NUMPX", 1),
        lambda whole: whole.replace(b"'descr'", b"'desc\0'", 1),
        lambda whole: whole[: len(whole) // 2],
    ],
    ids=["header", "magic", "fields", "cut"],
)
def test_a_damaged_file_is_told(tmp_path, spoil):
    file = write(tmp_path / "x.npz", body_pose=BODY)
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(InputError, match=r"x\.npz"):
        read_body(file)


def test_odd_members_and_names_are_told(tmp_path):
    write(tmp_path / "x.npz", poses=np.array(1.0))
    with zipfile.ZipFile(tmp_path / "y.npz", "w") as archive:
        archive.writestr("poses", b"no array")
    for name in ("x.npz", "y.npz", "#1", f"x.npz#{'9' * 5000}"):
        with pytest.raises(InputError):
            read_body(tmp_path / name)
    with pytest.raises(InputError, match="mcld sample --list-poses"):
        read_gallery("flying")


def test_a_handstand_of_a_motion_stays_one(tmp_path):
    motion = np.zeros((1, 72), np.float32)
    motion[:, 0] = -np.pi / 2  # of a world whose z is up: head down
    file = write(tmp_path / "hand.npz", poses=motion, mocap_framerate=30)
    labels = draw_pose_map(read_body(file))[..., 0]
    assert np.isin(labels, (23, 24)).any(1).nonzero()[0].mean() > 700
