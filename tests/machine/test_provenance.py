"""What files say about where they come from, as other programs read it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcld.dataset.pictures import read_image, read_text, write_png
from mcld.machine.provenance import COMPOSITE, GENERATED, XMP_KEYWORD, Provenance
from mcld.machine.video import write_video
from mcld.studio.shown import write_jpeg

TEXT = {"Software": 'mcld "1" & <2>', "Comment": "made by a model", "mcld": "{}"}
PICTURE = np.full((48, 64, 3), 90, np.uint8)


def write(path: Path, provenance: Provenance, count: int = 3) -> Path:
    """A picture, or a moving one, as the suffix says."""
    if path.suffix == ".png":
        write_png(path, PICTURE, provenance)
    elif path.suffix == ".jpg":
        write_jpeg(path, PICTURE, provenance)
    else:
        write_video(path, [PICTURE + 40 * k for k in range(count)], 10.0, provenance)
    return path


@pytest.mark.parametrize("source_type", [GENERATED, COMPOSITE])
@pytest.mark.parametrize(
    ("suffix", "count"), [(".png", 1), (".jpg", 1), (".webp", 1), (".webp", 3)]
)
def test_pillow_reads_what_a_picture_is(tmp_path: Path, suffix: str, count: int, source_type: str):
    path = write(tmp_path / f"a{suffix}", Provenance(TEXT, source_type), count)
    with Image.open(path) as picture:
        told = picture.getxmp()["xmpmeta"]["RDF"]["Description"]
        assert getattr(picture, "n_frames", 1) == count
    assert told["DigitalSourceType"] == source_type
    assert told["CreatorTool"] == TEXT["Software"]
    assert told["description"]["Alt"]["li"]["text"] == TEXT["Comment"]


def test_an_mp4_holds_xmp_in_the_box_of_that_uuid_behind_all_others(tmp_path: Path):
    content = write(tmp_path / "a.mp4", Provenance(TEXT)).read_bytes()
    boxes, start = [], 0
    while start < len(content):
        size = int.from_bytes(content[start : start + 4], "big")
        boxes.append((content[start + 4 : start + 8], content[start + 8 : start + size]))
        start += size
    assert start == len(content)
    assert [name for name, _ in boxes][-2:] == [b"moov", b"uuid"]
    uuid = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")
    assert boxes[-1][1] == uuid + Provenance(TEXT).make_xmp()


@pytest.mark.parametrize("count", [1, 3])
def test_a_gif_holds_xmp_which_readers_of_blocks_pass_over(tmp_path: Path, count: int):
    path = write(tmp_path / "a.gif", Provenance(TEXT), count)
    content = path.read_bytes()
    packet = Provenance(TEXT).make_xmp()
    start = content.index(b"!\xff\x0bXMP DataXMP") + 14
    assert content[start:].startswith(packet + b"\x01\xff\xfe")
    # Wherever in the packet a block is taken to begin, the same end is found.
    for place in range(start, start + len(packet)):
        while content[place]:
            place += 1 + content[place]
        assert place == start + len(packet) + 257
    with Image.open(path) as picture:
        assert picture.n_frames == count
        assert picture.info["comment"].decode() == "\n".join(TEXT.values())


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif", ".mp4", ".webm"])
def test_the_same_provenance_is_the_same_bytes(tmp_path: Path, suffix: str):
    first, again = (write(tmp_path / f"{name}{suffix}", Provenance(TEXT)) for name in "ab")
    assert first.read_bytes() == again.read_bytes()


def test_a_png_keeps_its_text_beside_xmp(tmp_path: Path):
    path = write(tmp_path / "a.png", Provenance(TEXT))
    assert {k: v for k, v in read_text(path).items() if k != XMP_KEYWORD} == TEXT
    assert np.array_equal(read_image(path), PICTURE)


def test_data_has_no_provenance(tmp_path: Path):
    write_png(tmp_path / "map.png", PICTURE)
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.info == {}
