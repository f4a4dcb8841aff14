"""How steady frames are, where no truth is known."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image, read_iuv, write_png
from mcld.errors import InputError
from mcld.evaluate.sequence import (
    Likeness,
    Steadiness,
    SurfaceChange,
    measure_steadiness,
    open_pictures,
)
from mcld.machine.provenance import Provenance
from mcld.machine.video import write_video
from mcld.mannequin.world import identity, pose, render
from mcld.settings import load_settings


def measure(path: Path) -> Steadiness:
    settings = load_settings(None, ["prepare.pose_estimator=embedded"])
    return measure_steadiness(path, settings, say=lambda _: None, on_frame=lambda *_: None)


@pytest.fixture
def photo() -> np.ndarray:
    return render(identity(5, 0), pose(5, 0, 0), (384, 264))[0]


def test_the_surface_tells_flicker_from_motion(dataset: DatasetLayout) -> None:
    """One person in two poses changes little; the same picture, lighter, by as much as it is."""
    stems = [name.removesuffix(".jpg") for name in dataset.names("test")]
    frames = [read_image(dataset.image("test", stem)) for stem in stems]
    maps = [read_iuv(dataset.densepose("test", stem)) for stem in stems]
    moving, flickering = SurfaceChange(), SurfaceChange()
    for frame, iuv in zip(frames, maps, strict=True):
        moving.add(frame, iuv)
    for levels in (0, 40, 0):
        flickering.add((frames[0] // 2 + levels).astype(np.uint8), maps[0])
    assert flickering.warping_error == pytest.approx(40, abs=0.1)
    assert flickering.deviation == pytest.approx(40 * np.sqrt(2) / 3, abs=0.1)
    by_pixel = np.abs(frames[0].astype(int) - frames[1])[maps[0][..., 0] > 0].mean()
    assert 0 < moving.warping_error < 0.5 * by_pixel
    assert moving.deviation > 0
    assert SurfaceChange().warping_error is None
    assert SurfaceChange().deviation is None


def test_a_still_is_steady_and_a_flickering_one_is_not(photo, tmp_path) -> None:
    for folder, darker in (("still", 0), ("flicker", 60)):
        for number in range(4):
            frame = np.clip(photo.astype(int) - darker * (number % 2), 0, 255).astype(np.uint8)
            write_png(tmp_path / folder / f"{number}.png", frame)
    still, flicker = measure(tmp_path / "still"), measure(tmp_path / "flicker")
    assert still.frames == 4
    assert still.warping_error == 0
    assert still.deviation == 0
    assert still.face_similarity == pytest.approx(1)
    assert still.clothes_similarity == pytest.approx(1)
    assert flicker.warping_error > 20
    assert flicker.clothes_similarity < 0.99
    assert flicker.describe()["pose_estimator"] == "embedded"


def test_a_video_is_read_and_frames_without_anybody_do_not_count(photo, tmp_path) -> None:
    nobody = np.full_like(photo, 200)
    write_video(tmp_path / "a.mp4", [photo, nobody, photo], 10, Provenance({"Software": "test"}))
    found = measure(tmp_path / "a.mp4")
    assert (found.frames, found.nobody) == (3, 1)
    assert found.warping_error < 10  # as far as the codec has it, and the map of what it left


def test_frames_without_numbers_come_in_the_order_of_their_names(photo, tmp_path) -> None:
    for name, level in (("c", 3), ("a", 1), ("b", 2), (".hidden", 9)):
        write_png(tmp_path / f"{name}.png", np.full((8, 8, 3), level, np.uint8))
    (tmp_path / "folder.png").mkdir()
    frames, count = open_pictures(tmp_path)
    assert [int(frame[0, 0, 0]) for frame in frames] == [1, 2, 3]
    assert count == 3


def test_likeness_is_the_mean_cosine_to_the_mean() -> None:
    rows = np.random.default_rng(0).normal(1, 1, (5, 16)).astype(np.float32)
    alike = Likeness()
    assert alike.mean_cosine is None
    for row in rows:
        alike.add(row)
    alike.add(None)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    mean = unit.mean(axis=0)
    assert alike.mean_cosine == pytest.approx((unit @ mean / np.linalg.norm(mean)).mean(), rel=1e-6)


def test_what_is_no_sequence_is_said(photo, tmp_path) -> None:
    write_png(tmp_path / "one" / "0.png", photo)
    with pytest.raises(InputError, match="one holds 1 frames: two or more make a sequence"):
        measure(tmp_path / "one")
    for number in range(2):
        write_png(tmp_path / "empty" / f"{number}.png", np.full_like(photo, 200))
    with pytest.raises(InputError, match="empty shows somebody in 0 frames"):
        measure(tmp_path / "empty")
    with pytest.raises(InputError, match=r"absent\.mp4 does not exist"):
        measure(tmp_path / "absent.mp4")
    shutil.copy(tmp_path / "one" / "0.png", tmp_path / "picture.png")
    with pytest.raises(InputError, match=r"picture\.png is neither a folder of frames nor a video"):
        measure(tmp_path / "picture.png")
