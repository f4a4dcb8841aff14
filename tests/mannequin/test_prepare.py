"""Filling a folder with mannequins: the files, the split, and a run that is broken off."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image, read_iuv
from mcld.errors import InputError
from mcld.estimators.texture import extract_texture
from mcld.mannequin.prepare import prepare_mannequins
from mcld.mannequin.world import identity, pose, render
from mcld.mannequin.world.people import GROUND, photograph
from mcld.surface.charts import CHART_SIZE, NOWHERE, smpl_gather
from mcld.surface.parts import PARTS

SIZE = (96, 66)


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> DatasetLayout:
    """Three people, two pictures each, made by two processes."""
    root = tmp_path_factory.mktemp("mannequins") / "dataset"
    return prepare_mannequins(root, 3, seed=5, pictures=2, size=SIZE, workers=2)


def test_every_picture_has_its_map_and_texture(prepared: DatasetLayout) -> None:
    for split, count in (("train", 8), ("test", 2)):  # who is to be learned from, alone as well
        names = prepared.names(split)
        assert len(names) == count
        for name in names:
            stem = name.removesuffix(".jpg")
            image = read_image(prepared.image(split, stem))
            iuv = read_iuv(prepared.densepose(split, stem))
            assert image.shape == iuv.shape == (*SIZE, 3)
            assert read_image(prepared.texture(split, stem)).shape == (512, 512, 3)
    stored = read_image(prepared.texture(split, stem))
    assert np.array_equal(stored, extract_texture(image, iuv))


def test_people_are_split_and_pairs_are_of_one_person(prepared: DatasetLayout) -> None:
    def person(name: str) -> str:
        return name[: name.index("id") + 10]

    people = {split: {person(n) for n in prepared.names(split)} for split in ("train", "test")}
    assert len(people["train"]) == 2
    assert len(people["test"]) == 1
    assert not people["train"] & people["test"]
    for split in ("train", "test"):
        names, pairs = prepared.names(split), prepared.pairs(split)
        assert not [source for source, target in pairs if source == target]
        assert len(set(pairs)) == len(pairs) == len(names)  # all to all, or both orders
        for source, target in pairs:
            assert person(source) == person(target)
            assert {source, target} <= set(names)


def test_one_process_makes_the_same_bytes_and_tells_how_far_it_is(
    prepared: DatasetLayout, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    prepare_mannequins(
        tmp_path / "again",
        3,
        seed=5,
        pictures=2,
        size=SIZE,
        workers=1,
        on_picture=lambda done, total: told.append((done, total)),
    )
    assert contents(tmp_path / "again") == contents(prepared.root)
    assert told == [(0, 6), (2, 6), (4, 6), (6, 6)]


def test_a_second_run_makes_only_what_is_missing(prepared: DatasetLayout) -> None:
    before = contents(prepared.root)
    first = prepared.names("train")[0].removesuffix(".jpg")
    second = prepared.names("train")[1].removesuffix(".jpg")
    kept = prepared.image("test", prepared.names("test")[0].removesuffix(".jpg"))
    age = kept.stat().st_mtime_ns
    prepared.densepose("train", first).unlink()
    prepared.texture("train", second).unlink()
    prepared.pairs_file("test").unlink()
    prepare_mannequins(prepared.root, 3, seed=5, pictures=2, size=SIZE, workers=1)
    assert contents(prepared.root) == before
    assert kept.stat().st_mtime_ns == age


@pytest.mark.parametrize(
    ("mannequins", "seed", "size"), [(4, 5, SIZE), (3, 6, SIZE), (3, 5, (128, 96))]
)
def test_other_mannequins_are_not_mixed_in(
    prepared: DatasetLayout, mannequins: int, seed: int, size: tuple[int, int]
) -> None:
    before = contents(prepared.root)
    with pytest.raises(InputError, match="holds other mannequins"):
        prepare_mannequins(prepared.root, mannequins, seed=seed, pictures=2, size=size)
    assert contents(prepared.root) == before


def test_mannequins_of_an_earlier_version_are_refused(tmp_path: Path) -> None:
    prepare_mannequins(tmp_path, 2, seed=5, pictures=2, size=SIZE, workers=1)
    mark = tmp_path / "mannequins.json"
    mark.write_text(json.dumps({**json.loads(mark.read_text()), "version": 1}))
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"another version of their world \(1, now \d+\): remove"):
        prepare_mannequins(tmp_path, 2, seed=5, pictures=2, size=SIZE)
    assert contents(tmp_path) == before


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "WOMEN").mkdir()
    with pytest.raises(InputError, match="already holds files"):
        prepare_mannequins(tmp_path, 3)
    assert not (tmp_path / "mannequins.json").exists()


@pytest.mark.parametrize(
    "wrong", [{"mannequins": 1}, {"mannequins": 3, "pictures": 1}, {"mannequins": 3, "seed": -1}]
)
def test_impossible_numbers_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(InputError):
        prepare_mannequins(tmp_path / "dataset", **wrong)
    assert not (tmp_path / "dataset").exists()


@pytest.mark.skipif(os.name != "posix", reason="sends an interrupt")
def test_an_interrupted_run_leaves_no_half_files_and_goes_on(
    prepared: DatasetLayout, tmp_path: Path
) -> None:
    root = tmp_path / "dataset"
    script = tmp_path / "run.py"
    script.write_text(
        "from pathlib import Path\n"
        "from mcld.mannequin.prepare import prepare_mannequins\n"
        "import signal\n"
        "if __name__ == '__main__':\n"
        # A job in the background of a shell is born deaf to SIGINT; this one listens again.
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"    prepare_mannequins(Path({str(root)!r}), 3, seed=5, pictures=2, size={SIZE},"
        " workers=1)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.Popen([sys.executable, str(script)], env=environment, stderr=subprocess.PIPE)
    while run.poll() is None and not list(root.glob("train_texture/*.png")):
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    run.communicate()
    assert run.returncode != 0
    half_done = contents(root)
    whole = contents(prepared.root)
    assert not (root / "split").exists()
    assert all(whole[name] == data for name, data in half_done.items())
    prepare_mannequins(root, 3, seed=5, pictures=2, size=SIZE, workers=1)
    assert contents(root) == whole


def test_the_texture_pasted_back_resembles_the_picture() -> None:
    image, iuv = render(identity(0, 1), pose(0, 1, 0))
    texture = extract_texture(image, iuv)
    atlas = np.zeros((NOWHERE + 1, 3), np.uint8)
    known = np.zeros(NOWHERE + 1, bool)
    atlas[smpl_gather().ravel()] = texture.reshape(-1, 3)
    known[smpl_gather().ravel()] = True
    charts = (PARTS, CHART_SIZE, CHART_SIZE)
    body = iuv[..., 0] > 0
    pasted = image.copy()
    for part in range(1, PARTS + 1):
        here = iuv[..., 0] == part
        # The SMPL layout holds only some pixels of an atlas chart: take the nearest.
        missing = ~known[:NOWHERE].reshape(charts)[part - 1]
        rows, columns = distance_transform_edt(missing, return_distances=False, return_indices=True)
        _, u, v = iuv[here].astype(int).T
        row, column = (255 - v) * 199 // 255, u * 199 // 255
        chart = atlas[:NOWHERE].reshape(*charts, 3)[part - 1]
        pasted[here] = chart[rows[row, column], columns[row, column]]
    error = np.mean((pasted.astype(float) - image) ** 2)
    assert 10 * np.log10(255**2 / error) > 27  # measured: 28.9 to 30.8 dB over eight pictures
    assert np.mean((pasted[body].astype(float) - image[body]) ** 2) < 10 ** (-2.1) * 255**2


def test_a_folder_of_before_there_were_styles_holds_dolls(tmp_path: Path) -> None:
    prepare_mannequins(tmp_path, 2, seed=5, style="dolls", pictures=2, size=SIZE, workers=1)
    mark = tmp_path / "mannequins.json"
    world = json.loads(mark.read_text())
    del world["style"], world["maps"]
    mark.write_text(json.dumps(world))
    prepare_mannequins(tmp_path, 2, seed=5, style="dolls", pictures=2, size=SIZE, workers=1)
    with pytest.raises(InputError, match="style people"):
        prepare_mannequins(tmp_path, 2, seed=5, pictures=2, size=SIZE)


def test_a_style_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no style 'doll' of mannequins: give people or dolls"):
        prepare_mannequins(tmp_path / "new", 2, style="doll")
    assert not (tmp_path / "new").exists()


def test_maps_to_train_on_are_exact_noisy_or_estimated_and_those_to_test_on_exact(
    tmp_path: Path,
) -> None:
    layout = prepare_mannequins(tmp_path, 11, seed=5, pictures=2, size=(128, 88), workers=2)
    exact = {"train": 0, "test": 0}
    for split in exact:
        for name in layout.names(split):
            if name.endswith("_8alone.jpg"):
                continue
            index, picture = (int(n) for n in re.findall(r"id(\d{8})(\d\d)_", name)[0])
            _, truth = photograph(5, index, picture - 1, (128, 88))
            stem = name.removesuffix(".jpg")
            exact[split] += np.array_equal(read_iuv(layout.densepose(split, stem)), truth)
    assert exact["test"] == 2
    assert 3 <= exact["train"] <= 13  # of 20


def test_people_to_train_on_are_pictured_alone_too_and_that_is_what_pairs_lead_to(
    tmp_path: Path,
) -> None:
    layout = prepare_mannequins(
        tmp_path, 9, seed=5, pictures=2, size=(128, 88), maps="exact", workers=2
    )
    doll, person = (f"id{index:08d}" for index in (7, 0))
    names = [name for name in layout.names("train") if person in name]
    assert [name.rpartition("_")[2] for name in names] == [
        *("1front.jpg", "7additional.jpg", "8alone.jpg", "8alone.jpg")
    ]
    assert [pair for pair in layout.pairs("train") if person in pair[0]] == [
        (names[source], names[target]) for source in (0, 1) for target in (2, 3)
    ]
    for before, alone in ((0, 2), (1, 3)):
        stems = [names[k].removesuffix(".jpg") for k in (before, alone)]
        (photo, iuv), (picture, its_map) = (
            (read_image(layout.image("train", s)), read_iuv(layout.densepose("train", s)))
            for s in stems
        )
        assert np.array_equal(iuv, its_map)
        assert np.array_equal(iuv, photograph(5, 0, before, (128, 88))[1])  # exact, as asked for
        body = iuv[..., 0] > 0
        inner = body & np.roll(body, 2, 1) & np.roll(body, -2, 1) & np.roll(body, 2, 0)
        assert np.abs(photo[inner].astype(int) - picture[inner]).mean() < 8
        ground = np.median(picture[~body], axis=0)
        assert np.abs(ground - GROUND * 255).max() <= 2
    assert not [name for name in layout.names("train") if doll in name and "8alone" in name]
    assert not [name for name in layout.names("test") if "8alone" in name]
    assert len([pair for pair in layout.pairs("train") if doll in pair[0]]) == 4
    with pytest.raises(InputError, match="maps noisy"):
        prepare_mannequins(tmp_path, 9, seed=5, pictures=2, size=(128, 88))
