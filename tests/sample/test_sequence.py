"""A person in poses one after the other, from files to a video."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from mcld.body.parameters import GALLERY
from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_iuv, write_iuv
from mcld.errors import InputError, SettingsError, StoppedError
from mcld.estimators.pose import EstimatedPose
from mcld.machine.provenance import Provenance
from mcld.machine.video import count_seconds, read_frames, write_video
from mcld.mannequin.world import identity, pose, render
from mcld.model import ReferenceNet
from mcld.pipeline import MCLDPipeline
from mcld.sample.frames import WHOLE, Span, VideoFrames
from mcld.sample.request import SequenceRequest
from mcld.sample.sequence import sample_sequence
from mcld.settings import load_settings

STEPS = ["sample.num_inference_steps=1", "sample.keep=background", "sample.batch_size=2"]


@pytest.fixture
def source(dataset: DatasetLayout) -> Path:
    return dataset.image("test", Path(dataset.names("test")[0]).stem)


@pytest.fixture
def weights(pipeline: MCLDPipeline, tmp_path: Path) -> Path:
    pipeline.save_pretrained(tmp_path / "pipeline")
    return tmp_path / "pipeline"


@pytest.fixture
def motion(tmp_path: Path) -> Path:
    """Half a second of somebody who lifts an arm, and moves to their left, as AMASS has it."""
    with (GALLERY / "standing.npz").open("rb") as file:
        standing = dict(np.load(file))["body_pose"]
    poses = np.repeat(standing.reshape(1, -1), 6, 0)
    poses[:, 3 * 16 + 2] += np.linspace(0, 1.5, 6)
    path = tmp_path / "motion.npz"
    write_motion(path, poses)
    return path


def write_motion(path: Path, poses: np.ndarray, **changes: object) -> None:
    count = len(poses)
    upright = np.repeat(Rotation.from_rotvec([np.pi / 2, 0, 0]).as_rotvec()[None], count, 0)
    places = np.stack([np.linspace(0, 0.5, count), np.zeros(count), np.zeros(count)], axis=1)
    content = {"poses": poses, "root_orient": upright, "trans": places, "mocap_framerate": 12.0}
    np.savez(path, **{**content, **changes})


def run(request: SequenceRequest, *, stop_at: int | None = None) -> list[Path]:
    def count(done: int, _: int) -> None:
        if done == stop_at:
            raise StoppedError("interrupted")

    return sample_sequence(
        request,
        load_settings(None, STEPS),
        say=lambda _: None,
        on_pose=lambda *_: None,
        on_frame=count,
    )


def test_a_motion_becomes_a_video_whose_ground_stands_still(source, weights, motion, tmp_path):
    out = tmp_path / "made" / "walk.mp4"
    request = SequenceRequest((source,), motion, out, weights, sheet=True)
    assert run(request) == [out, tmp_path / "made" / "walk-sheet.png"]
    assert sorted(p.name for p in out.parent.iterdir()) == ["walk-sheet.png", "walk.mp4"]
    assert count_seconds(out) == pytest.approx(0.5, abs=0.1)
    frames = list(read_frames(out, 12.0))
    assert len(frames) == 6
    with Image.open(source) as photo:
        assert frames[0].shape[1::-1] == photo.size
    assert np.abs(frames[0].astype(int) - frames[-1]).max() > 60
    corner = np.stack([frame[:20, :20] for frame in frames]).astype(int)
    assert np.ptp(corner, axis=0).mean() < 2  # as far as the codec has it
    assert b"synthetic" in out.read_bytes()


def test_two_processes_make_the_bytes_of_one(source, weights, mcld, tmp_path):
    words = ["sample", "--source", str(source), "--weights", str(weights), "--pose", "turn"]
    words += ["--fps", "4", "--to", "1", "--config", str(write_settings(tmp_path))]
    for name, how in (("one.gif", []), ("two.gif", ["--processes", "2"])):
        done = mcld(*words, "--out", name, *how)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "one.gif").read_bytes() == (tmp_path / "two.gif").read_bytes()


def write_settings(folder: Path) -> Path:
    path = folder / "steps.yaml"
    path.write_text("sample: {num_inference_steps: 1, keep: background, batch_size: 2}\n")
    return path


def test_who_it_is_is_encoded_once_for_all_frames(source, weights, motion, tmp_path, monkeypatch):
    encoded = []
    forward = ReferenceNet.forward

    def count(self, *given):
        encoded.append(len(given[0]))
        return forward(self, *given)

    monkeypatch.setattr(ReferenceNet, "forward", count)
    run(SequenceRequest((source,), motion, tmp_path / "frames", weights))
    assert len(list((tmp_path / "frames").glob("0*.png"))) > 3
    assert encoded == [1]


def test_a_motion_that_comes_along_is_named(source, weights, tmp_path):
    out = tmp_path / "turn.gif"
    run(SequenceRequest((source,), Path("turn"), out, weights, span=Span(5.0, 0.0, 1.0)))
    with Image.open(out) as picture:
        assert picture.n_frames == 5
    with pytest.raises(SettingsError, match=r"--pose turn is a sequence of poses, whose result is"):
        SequenceRequest((source,), Path("turn"), tmp_path / "turn.png", weights)
    with pytest.raises(InputError, match="standing is one pose"):
        SequenceRequest((source,), Path("standing"), out, weights)


def test_broken_off_it_goes_on_to_the_same_bytes(source, weights, motion, tmp_path):
    whole = tmp_path / "whole.gif"
    run(SequenceRequest((source,), motion, whole, weights))
    out = tmp_path / "broken.gif"
    request = SequenceRequest((source,), motion, out, weights)
    with pytest.raises(StoppedError):
        run(request, stop_at=4)
    assert not out.exists()
    kept = tmp_path / "broken.gif.frames"
    assert len(list((kept / "poses").glob("*.png"))) == 6
    assert list(kept.glob("*.png"))
    with pytest.raises(SettingsError, match=r"made otherwise, by seed: remove it, or give another"):
        run(SequenceRequest((source,), motion, out, weights, seed=3))
    run(request)
    with Image.open(out) as ours, Image.open(whole) as theirs:
        for frame in range(6):
            ours.seek(frame)
            theirs.seek(frame)
            assert np.array_equal(ours.convert("RGB"), theirs.convert("RGB"))
    assert not kept.exists()


def test_a_folder_of_maps_becomes_a_folder_of_frames(source, weights, tmp_path):
    maps = tmp_path / "maps"
    for k in range(3):
        _, iuv = render(identity(0, 1), pose(0, 1, k), (96, 64))
        write_iuv(maps / f"pose{k + 8}.png", iuv)  # 8, 9, 10: by number, not by letter
    request = SequenceRequest((source,), maps, tmp_path / "frames", weights)
    assert [file.name for file in request.files()[1:]] == ["pose8.png", "pose9.png", "pose10.png"]
    run(request)
    frames = sorted((tmp_path / "frames").glob("*.png"))
    assert [file.name for file in frames] == ["000000.png", "000001.png", "000002.png"]
    with Image.open(frames[1]) as picture:
        assert json.loads(picture.text["mcld"])["frame"] == 1
    assert not (tmp_path / "frames" / "poses").exists()


def test_a_video_is_read_by_the_estimator_frame_by_frame(source, weights, tmp_path):
    video = tmp_path / "moving.mp4"
    photos = [render(identity(0, 1), pose(0, 1, 0), (192, 128))[0]] * 4
    write_video(video, photos, 8.0, Provenance({"Software": ""}))
    options = load_settings(None, ["prepare.pose_estimator=embedded"]).prepare
    request = SequenceRequest((source,), video, tmp_path / "out.webp", weights, options)
    with pytest.raises(StoppedError):
        run(request, stop_at=0)
    poses = sorted((tmp_path / "out.webp.frames" / "poses").glob("*.png"))
    assert len(poses) == 4
    body = read_iuv(poses[2])[..., 0] > 0
    truth = render(identity(0, 1), pose(0, 1, 0), (192, 128))[1][..., 0] > 0
    assert (body & truth).sum() > 0.7 * (body | truth).sum()
    run(request)
    with Image.open(tmp_path / "out.webp") as picture:
        assert picture.n_frames == 4


class Estimator:
    """Stands for a reader whose estimator finds people in bright frames alone."""

    def estimate(self, picture: np.ndarray) -> EstimatedPose | None:
        if picture.mean() < 100:
            return None
        return EstimatedPose(np.full((4, 4, 3), int(picture.mean()) // 20, np.uint8), 1)


def test_frames_that_show_nobody_have_the_pose_beside_them_and_so_they_have_when_it_goes_on(
    tmp_path,
):
    video = tmp_path / "dim.mp4"
    levels = (20, 20, 120, 20, 160, 200)
    shades = [np.full((32, 32, 3), level, np.uint8) for level in levels]
    write_video(video, shades, 6.0, Provenance({"Software": ""}))
    frames = VideoFrames(video, WHOLE)
    whole = dict(frames.read(Estimator(), lambda _: None))
    assert list(whole) == list(range(6))
    found = [int(iuv[0, 0, 0]) for iuv in whole.values()]
    assert found[0] == found[1] == found[2] == found[3]
    assert found[3] < found[4] < found[5]
    for done in range(6):
        kept = {number: iuv for number, iuv in whole.items() if number < done}
        again = dict(frames.read(Estimator(), kept.get))
        assert list(again) == list(range(6))
        for number, iuv in again.items():
            assert iuv is None if number < done else np.array_equal(iuv, whole[number])
    dark = tmp_path / "dark.mp4"
    write_video(dark, shades[:2], 6.0, Provenance({"Software": ""}))
    with pytest.raises(InputError, match=r"dark\.mp4 shows nobody"):
        list(VideoFrames(dark, WHOLE).read(Estimator(), lambda _: None))


def test_it_does_not_go_on_with_another_network(source, weights, motion, tmp_path):
    request = SequenceRequest((source,), motion, tmp_path / "a.gif", weights)
    with pytest.raises(StoppedError):
        run(request, stop_at=2)
    with pytest.raises(SettingsError, match=r"made otherwise, by .*weights.*: remove it, or give"):
        run(SequenceRequest((source,), motion, tmp_path / "a.gif"))


def test_some_of_the_poses_are_taken_and_at_another_rate(source, motion):
    def count(*span) -> int:
        return SequenceRequest((source,), motion, Path("a.mp4"), span=Span(*span)).frames.count

    assert count(None, 0.0, None) == 6
    assert count(6.0, 0.0, None) == 3
    assert count(24.0, 0.0, None) == 12
    assert count(None, 0.25, 0.41) == 2


def test_what_cannot_be_a_sequence_is_refused_before_any_work(source, motion, tmp_path):
    def refused(kind, match: str, pose: Path = motion, out: str = "a.mp4", span=(None, 0.0, None)):
        with pytest.raises(kind, match=match):
            SequenceRequest((source,), pose, tmp_path / out, span=Span(*span))

    refused(
        SettingsError,
        r"--out .*a\.avi: --pose .* is a sequence .* result is \.mp4, \.webm, .* or a folder",
        out="a.avi",
    )
    refused(SettingsError, r"--fps 0: give", span=(0.0, 0.0, None))
    refused(SettingsError, r"--from 2 --to 1", span=(None, 2.0, 1.0))
    refused(InputError, r"no body between --from and --to", span=(None, 9.0, None))
    refused(InputError, r"nowhere\.mp4 does not exist", pose=tmp_path / "nowhere.mp4")
    (tmp_path / "empty").mkdir()
    refused(InputError, r"holds 0 poses between --from and --to", pose=tmp_path / "empty")
    refused(InputError, r"walking is one pose, for which", pose=Path("walking"))
    refused(InputError, r"is one pose, for which --out is a \.png: a sequence is of", pose=source)
    one = tmp_path / "one.npz"
    np.savez(one, poses=np.zeros((1, 66), np.float32))
    refused(InputError, r"one\.npz is no motion: it holds one body", pose=one)
    other = tmp_path / "other.npz"
    write_motion(other, np.zeros((5, 30), np.float32))
    with pytest.raises(InputError, match=r"poses has 10 joints; SMPL and SMPL-X have 21 or more"):
        SequenceRequest((source,), other, tmp_path / "a.mp4")
    for rate in (np.array([12.0, 13.0]), np.array("fast"), 0.0):
        write_motion(other, np.zeros((5, 66), np.float32), mocap_framerate=rate)
        refused(
            InputError, r"mocap_framerate (is no number of bodies|holds no numbers)", pose=other
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["motion.npz", "empty", "one.npz", "other.npz"]
    )


def test_maps_of_several_sizes_are_refused_and_a_broken_one_is_named(source, weights, tmp_path):
    maps = tmp_path / "maps"
    for k, size in enumerate([(96, 64), (96, 72)]):
        _, iuv = render(identity(0, 1), pose(0, 1, k), size)
        write_iuv(maps / f"{k}.png", iuv)
    request = SequenceRequest((source,), maps, tmp_path / "a.mp4", weights)
    with pytest.raises(InputError, match=r"frame 1 has 72x96 pixels, those before it 64x96"):
        run(request)
    (maps / "1.png").write_bytes(b"broken")
    with pytest.raises(SettingsError, match=r"made otherwise, by files"):
        run(request)
    with pytest.raises(InputError, match=r"1\.png"):
        run(SequenceRequest((source,), maps, tmp_path / "b.mp4", weights))


def test_the_camera_of_a_motion_stands_still(source, motion):
    from mcld.sample.frames import MotionFrames

    frames = SequenceRequest((source,), motion, Path("a.mp4")).frames
    assert isinstance(frames, MotionFrames)
    maps = [iuv for _, iuv in frames.read(None, lambda _: None)]
    assert len({iuv.shape for iuv in maps}) == 1
    bodies = [iuv[..., 0] > 0 for iuv in maps]
    middles = [np.flatnonzero(body[900:].any(0)).mean() for body in bodies]  # of the feet
    assert (np.diff(middles) > 0).all()  # along the way that they go
    heights = [np.flatnonzero(body[:, : body.shape[1]].any(1))[[0, -1]] for body in bodies]
    assert np.ptp([low for _, low in heights]) <= 2  # on one ground
