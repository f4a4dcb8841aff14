"""People and poses, read from beside a picture or estimated."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcld.body.parameters import read_gallery
from mcld.body.pose_map import draw_pose_map
from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image, read_iuv, write_iuv, write_jpeg, write_png
from mcld.errors import InputError, MCLDError
from mcld.estimators.head_crop import HeadCrop
from mcld.estimators.pose import EstimatedPose
from mcld.estimators.texture import extract_texture
from mcld.person.person import warn_of_no_face
from mcld.person.prepared import read_batches, read_prepared
from mcld.person.reader import PersonReader
from mcld.settings import PrepareSettings


class Known:
    """A pose estimator that knows its answer."""

    def __init__(self, iuv: np.ndarray | None, people: int = 1) -> None:
        self.pose = None if iuv is None else EstimatedPose(iuv, people)

    def estimate(self, images: list[np.ndarray]) -> list[EstimatedPose | None]:
        return [self.pose] * len(images)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def reader(said: list[str], tmp_path: Path) -> PersonReader:
    options = PrepareSettings(insightface_root=tmp_path)
    return PersonReader(options, "cpu", said.append, "head_crop")


@pytest.fixture
def front(dataset: DatasetLayout) -> tuple[str, str]:
    return "test", next(n[:-4] for n in dataset.names("test") if "front" in n)


def test_what_was_prepared_is_found_beside_the_picture(reader, dataset, front):
    person = reader.person(dataset.image(*front))
    assert np.array_equal(person.texture, read_image(dataset.texture(*front)))
    assert np.array_equal(person.face, np.load(dataset.face(*front)))
    assert np.array_equal(person.iuv, read_iuv(dataset.densepose(*front)))
    assert person.photo.size == (88, 128)


def test_any_other_photo_is_unrolled_on_the_spot(reader, dataset, front, tmp_path):
    photo, iuv = read_image(dataset.image(*front)), read_iuv(dataset.densepose(*front))
    write_png(tmp_path / "alone.png", photo)
    reader.pose_estimator = Known(iuv)
    person = reader.person(tmp_path / "alone.png")
    assert np.array_equal(person.texture, extract_texture(photo, iuv))
    assert np.array_equal(person.face, HeadCrop().embed(photo, iuv))


def test_without_a_face_network_the_face_is_left_open_and_said_so(said, dataset, front, tmp_path):
    reader = PersonReader(PrepareSettings(insightface_root=tmp_path), "cpu", said.append)
    write_jpeg(tmp_path / "alone.jpg", read_image(dataset.image(*front)))
    reader.pose_estimator = Known(read_iuv(dataset.densepose(*front)))
    person = reader.person(tmp_path / "alone.jpg")
    assert not person.has_face
    warn_of_no_face(person, said.append)
    assert "mcld weights download densepose" in said[0]
    assert "mcld weights download antelopev2" in said[1]
    assert "whose face it is, is left open" in said[2]


def test_faces_are_read_as_the_network_knows_them(said, dataset, front, tmp_path):
    prepared = dataset.face_embedder
    assert prepared == "head_crop"
    assert read_prepared(dataset, *front, "head_crop").has_face
    assert not read_prepared(dataset, *front, "arcface").has_face
    reader = PersonReader(PrepareSettings(insightface_root=tmp_path), "cpu", said.append)
    assert not reader.person(dataset.image(*front)).has_face
    assert "mcld weights download antelopev2" in said[0]
    other = DatasetLayout(Path(shutil.copytree(dataset.root, tmp_path / "other")))
    other.write_record({"face_embedder": "arcface"})
    np.save(other.face(*front), np.ones(512, np.float32))
    again = read_prepared(other, *front, "head_crop").face
    assert np.allclose(again, read_prepared(dataset, *front).face, atol=1e-6)


def test_a_photo_of_nobody_is_refused(reader, tmp_path):
    Image.new("RGB", (30, 40)).save(tmp_path / "empty.jpg")
    reader.pose_estimator = Known(None)
    with pytest.raises(InputError, match=r"empty\.jpg shows nobody: no person was found in it"):
        reader.person(tmp_path / "empty.jpg")
    with pytest.raises(InputError, match=r"empty\.jpg shows nobody"):
        reader.pose(tmp_path / "empty.jpg")


def test_where_several_people_are_seen_that_is_said_and_another_can_be_asked_for(
    said, dataset, front, tmp_path
):
    iuv = read_iuv(dataset.densepose(*front))
    write_jpeg(tmp_path / "group.jpg", read_image(dataset.image(*front)))
    for person in ("confident", "largest", 3):
        options = PrepareSettings(person=person, pose_estimator="embedded")
        reader = PersonReader(options, "cpu", said.append)
        reader.pose_estimator = Known(iuv, people=2)
        assert reader.record() == {}
        assert np.array_equal(reader.pose(tmp_path / "group.jpg"), iuv)
        told = {} if person == "confident" else {"person": person}
        assert reader.record() == {"pose_estimator": "embedded", **told}
    (line,) = said
    assert line == (
        "group.jpg shows 2 people, of whom the largest counts: --person 2 takes another."
    )
    reader.pose_estimator = Known(iuv)
    reader.pose(tmp_path / "group.jpg")
    assert said[1] == "group.jpg shows one person, who counts: --person 3 is for several."
    reader.pose_estimator = Known(None)
    with pytest.raises(InputError, match=r"group\.jpg has no person 3: fewer than 3 people"):
        reader.pose(tmp_path / "group.jpg")


def test_a_map_and_a_photo_are_told_apart(reader, dataset, front, tmp_path):
    iuv, other = read_iuv(dataset.densepose(*front)), np.full((5, 4, 3), 7, np.uint8)
    reader.pose_estimator = Known(other)
    write_iuv(tmp_path / "map.png", iuv)
    write_png(tmp_path / "photo.png", np.maximum(read_image(dataset.image(*front)), 30))
    write_jpeg(tmp_path / "photo.jpg", read_image(dataset.image(*front)))
    assert np.array_equal(reader.pose(tmp_path / "map.png"), iuv)
    assert np.array_equal(reader.pose(tmp_path / "photo.png"), other)
    assert np.array_equal(reader.pose(tmp_path / "photo.jpg"), other)
    write_jpeg(tmp_path / "dark.jpg", np.full((20, 30, 3), 9, np.uint8))  # of labels, it would seem
    assert np.array_equal(reader.pose(tmp_path / "dark.jpg"), other)
    assert np.array_equal(reader.pose(tmp_path / "map.png", "photo"), other)
    with pytest.raises(InputError, match="part labels"):
        reader.pose(tmp_path / "photo.png", "iuv")


def test_a_map_that_cannot_be_used_sends_nobody_to_an_estimator(reader, dataset, front, tmp_path):
    iuv = read_iuv(dataset.densepose(*front))
    write_iuv(tmp_path / "swapped.png", iuv[..., ::-1])
    with pytest.raises(
        InputError,
        match=r"swap the first .* \(a photo, after all: --pose-kind photo\)$",
    ):
        reader.pose(tmp_path / "swapped.png")


def test_a_linked_photo_is_looked_up_where_the_link_lies(reader, dataset, front, tmp_path):
    for kind in ("densepose", "texture", "face"):
        (tmp_path / f"test_{kind}").symlink_to(dataset.root / f"test_{kind}")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "test").mkdir()
    (tmp_path / "elsewhere" / "photo.jpg").symlink_to(dataset.image(*front))
    linked = tmp_path / "test" / f"{front[1]}.jpg"
    linked.symlink_to(tmp_path / "elsewhere" / "photo.jpg")
    for path in (linked, tmp_path / "elsewhere" / "photo.jpg"):
        assert np.array_equal(reader.person(path).iuv, read_iuv(dataset.densepose(*front)))


def test_a_photo_of_a_dataset_has_its_map_beside_it(reader, dataset, front):
    iuv = read_iuv(dataset.densepose(*front))
    assert np.array_equal(reader.pose(dataset.image(*front)), iuv)


@pytest.mark.parametrize("kind", ["map", "gallery"])
def test_a_pose_is_drawn_in_the_sources_proportions_if_asked(dataset, front, said, tmp_path, kind):
    write_iuv(tmp_path / "wave.png", draw_pose_map(read_gallery("waving")))
    pose = tmp_path / "wave.png" if kind == "map" else Path("waving")
    plain, fitting = (
        PersonReader(PrepareSettings(fit_body=fits), "cpu", said.append, "head_crop")
        for fits in (False, True)
    )
    person = plain.person(dataset.image(*front))  # whose head is a doll's
    natural, fitted = (reader.pose_of(person, pose) for reader in (plain, fitting))

    def measure(iuv):
        rows = [np.flatnonzero(np.isin(iuv[..., 0], parts).any(1)) for parts in ((23, 24), (1, 2))]
        return np.ptp(rows[0]) / np.ptp(rows[1])

    assert measure(fitted) > 1.15 * measure(natural)
    assert measure(fitted) == pytest.approx(measure(person.iuv), rel=0.15)
    assert fitting.record()["fit_body"] is True
    assert "fit_body" not in plain.record()


def test_a_pose_has_the_shape_of_the_photo_it_is_for(reader, dataset, front, tmp_path):
    person = reader.person(dataset.image(*front))
    iuv = read_iuv(dataset.densepose(*front))
    write_iuv(tmp_path / "wide.png", np.pad(iuv, ((0, 0), (200, 300), (0, 0))))
    framed = reader.pose_of(person, tmp_path / "wide.png")
    assert framed.shape[:2] == iuv.shape[:2]
    assert (framed[..., 0] > 0).sum() == (iuv[..., 0] > 0).sum()


def test_what_is_missing_to_read_a_photo_is_named_with_how_to_get_it(said, tmp_path):
    options = PrepareSettings(pose_estimator="densepose")
    reader = PersonReader(options, "cpu", said.append)
    Image.effect_noise((30, 40), 50).convert("RGB").save(tmp_path / "photo.png")
    with pytest.raises(
        MCLDError,
        match=r"not an IUV map.*; as a photo, it needs a pose estimator: "
        r"the DensePose weights .* are missing: mcld weights download densepose",
    ):
        reader.pose(tmp_path / "photo.png")


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_a_file_that_is_no_picture_is_refused(reader, tmp_path, content):
    (tmp_path / "odd.png").write_bytes(content)
    with pytest.raises(InputError, match=r"odd\.png is"):
        reader.pose(tmp_path / "odd.png")
    with pytest.raises(InputError, match=r"odd\.png is"):
        reader.person(tmp_path / "odd.png")


def test_batches_hold_every_picture_once_and_in_order(dataset):
    stems = [name.removesuffix(".jpg") for name in dataset.names("train")]
    for size in (1, 2, 4, 100):
        batches = list(read_batches(dataset, "train", stems, size))
        assert [len(b) for b in batches[:-1]] == [size] * (len(batches) - 1)
        poses = [person.iuv.tobytes() for batch in batches for person in batch]
        assert poses == [read_prepared(dataset, "train", stem).iuv.tobytes() for stem in stems]
