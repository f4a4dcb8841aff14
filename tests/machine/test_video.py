"""Moving pictures, in and out of files."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mcld.errors import InputError, MCLDError
from mcld.machine.provenance import Provenance
from mcld.machine.video import count_seconds, read_frames, read_rate, write_video

TEXT = {"Software": "mcld", "Comment": "synthetic image, made by a generative model"}
MADE = Provenance(TEXT)


def draw(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """A bright bar that moves to the right."""
    frames = np.full((count, height, width, 3), 40, np.uint8)
    for k, frame in enumerate(frames):
        frame[:, 4 * k : 4 * k + 8] = (220, 180, 90)
    return list(frames)


def find_bar(frame: np.ndarray) -> float:
    bright = frame[..., 0].mean(axis=0) > 130
    return float(np.flatnonzero(bright).mean())


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif", ".webp"])
def test_what_is_written_is_read_again_frame_by_frame(tmp_path: Path, suffix: str):
    path = tmp_path / f"moving{suffix}"
    write_video(path, draw(10), 10.0, MADE)
    assert read_rate(path) == pytest.approx(10)
    assert count_seconds(path) == pytest.approx(1, abs=0.11)
    frames = list(read_frames(path, 10.0))
    assert [find_bar(frame) for frame in frames] == pytest.approx(np.arange(10) * 4 + 3.5, abs=1)
    assert frames[0].shape == (48, 64, 3)
    assert np.abs(frames[3].astype(int) - draw(10)[3]).mean() < 6


def test_the_same_frames_are_the_same_bytes_and_say_that_they_are_synthetic(tmp_path: Path):
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, draw(5), 25.0, MADE)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert TEXT["Comment"].encode() in (tmp_path / "a.mp4").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_frames_are_taken_at_another_rate_and_of_a_part(tmp_path: Path):
    path = tmp_path / "moving.mp4"
    write_video(path, draw(12), 12.0, MADE)
    assert len(list(read_frames(path, 6.0))) == 6
    assert len(list(read_frames(path, 24.0))) == 24
    some = [find_bar(frame) for frame in read_frames(path, 12.0, 0.25, 0.5)]
    assert some == pytest.approx([3 * 4 + 3.5, 4 * 4 + 3.5, 5 * 4 + 3.5], abs=1)


def test_a_variable_rate_is_read_by_the_clock(tmp_path: Path):
    path = tmp_path / "uneven.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for pixels, milliseconds in zip(draw(3), (0, 100, 500), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = milliseconds, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    found = [find_bar(frame) for frame in read_frames(path, 10.0)]
    assert found[:6] == pytest.approx([3.5, *[7.5] * 4, 11.5], abs=1)


@pytest.mark.parametrize(("suffix", "kind"), [(".gif", "GIF"), (".webp", "WEBP")])
def test_animated_pictures_have_all_frames_and_play_for_ever(tmp_path: Path, suffix: str, kind):
    path = tmp_path / f"moving{suffix}"
    write_video(path, draw(6), 10.0, MADE)
    with Image.open(path) as picture:
        assert picture.format == kind
        assert picture.n_frames == 6
        assert picture.info["loop"] == 0
        picture.seek(4)
        assert find_bar(np.asarray(picture.convert("RGB"))) == pytest.approx(4 * 4 + 3.5, abs=1)
        assert picture.info["duration"] == 100


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
@pytest.mark.parametrize("count", [1, 3])
def test_animated_pictures_say_that_they_are_synthetic(tmp_path: Path, suffix: str, count: int):
    path = tmp_path / f"moving{suffix}"
    long = {**TEXT, "Comment": TEXT["Comment"] + " of " + "something " * 60}
    write_video(path, draw(count, 49, 65), 10.0, Provenance(long))
    with Image.open(path) as picture:
        comment = picture.info["comment"].decode() if suffix == ".gif" else picture.getexif()[270]
        assert comment == "\n".join(long.values())
        assert picture.n_frames == count
        assert picture.size == ((65, 49) if suffix == ".gif" else (64, 48))
        assert find_bar(np.asarray(picture.convert("RGB"))) == pytest.approx(3.5, abs=1)
    assert len(list(read_frames(path, 10.0))) == count
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif", ".webp"])
def test_a_long_video_takes_no_more_memory_than_a_short_one(tmp_path: Path, suffix: str):
    def measure(count: int) -> int:
        code = (
            "import resource, sys, numpy as np; from pathlib import Path;"
            "from mcld.machine.provenance import Provenance;"
            "from mcld.machine.video import read_frames, write_video;"
            "slope = np.arange(256, dtype=np.uint8)[:, None, None] // 32 * 32;"
            "slope = np.ascontiguousarray(np.broadcast_to(slope, (256, 256, 3)));"
            "frames = (np.roll(slope, k, 0) for k in range(int(sys.argv[2])));"
            "write_video(Path(sys.argv[1]), frames, 10, Provenance({'Software': 'mcld'}));"
            "assert sum(1 for _ in read_frames(Path(sys.argv[1]), 10)) == int(sys.argv[2]);"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
        )
        file = str(tmp_path / f"moving{suffix}")
        run = [sys.executable, "-c", code, file, str(count)]
        return int(subprocess.run(run, check=True, capture_output=True, text=True).stdout)

    # 240 frames more, of 0.2 MB each.
    assert measure(300) < measure(60) + 16


def test_an_odd_size_loses_its_last_row_and_column(tmp_path: Path):
    path = tmp_path / "odd.mp4"
    write_video(path, draw(3, 49, 65), 25.0, MADE)
    assert next(read_frames(path, 25.0)).shape == (48, 64, 3)


def test_what_is_no_video_is_told(tmp_path: Path):
    with pytest.raises(InputError, match=r"no\.mp4 does not exist"):
        read_rate(tmp_path / "no.mp4")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video" * 100)
    with pytest.raises(InputError, match=r"broken\.mp4 cannot be read as a video"):
        read_rate(broken)
    whole = tmp_path / "whole.mp4"
    write_video(whole, draw(30), 25.0, MADE)
    content = whole.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"broken\.mp4"):
        list(read_frames(broken, read_rate(broken)))


def test_a_place_that_cannot_be_written_is_named_and_nothing_left(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MCLDError, match="cannot write"):
        write_video(tmp_path / "file" / "a.mp4", draw(2), 25.0, MADE)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
