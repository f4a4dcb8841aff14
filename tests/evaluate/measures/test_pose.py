"""Poses and keypoints of a folder of results; nothing has to be downloaded."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image, read_iuv, write_png
from mcld.dataset.results import result_file
from mcld.estimators.body.estimator import EmbeddedPose
from mcld.evaluate.measures.pose import Keypoints, PoseError
from mcld.evaluate.metric import Tools
from mcld.evaluate.pose_error import compare_maps
from mcld.evaluate.protocol import Protocol
from mcld.mannequin.prepare import prepare_mannequins
from mcld.settings import load_settings
from tests.evaluate.test_run import score


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> DatasetLayout:
    """Two people in three pictures each, of the size of the results."""
    root = tmp_path_factory.mktemp("people") / "own"
    return prepare_mannequins(root, 2, seed=1, pictures=3, size=(256, 176), workers=1)


def test_the_truth_is_in_its_pose_the_source_is_not_and_a_wall_is_nobody(people, tmp_path):
    pairs = [(Path(a).stem, Path(b).stem) for a, b in people.pairs("test")][:3]
    for name, choose in (("truth", 1), ("source", 0)):
        for pair in pairs:
            path = result_file(tmp_path / name, "256", *pair)
            write_png(path, read_image(people.image("test", pair[choose])))
    wall = result_file(tmp_path / "truth", "256", *pairs[2])
    write_png(wall, np.full((256, 176, 3), 200, np.uint8))
    overrides = ("evaluate.metrics=[pose,keypoints]",)
    truth, said = score(people, tmp_path / "truth", *overrides)
    source, _ = score(people, tmp_path / "source", *overrides)
    assert said == []
    rows = truth.sizes["256"].rows
    assert rows[wall.name] == {"pose_iou": 0.0, "pckh": 0.0}
    reader = EmbeddedPose()
    for pair in pairs[:2]:
        name = result_file(tmp_path, "256", *pair).name
        (pose,) = reader.estimate([read_image(people.image("test", pair[1]))])
        expected = compare_maps(read_iuv(people.densepose("test", pair[1])), pose.iuv)
        assert rows[name] == {**expected, "pckh": 1.0}
        assert source.sizes["256"].rows[name]["pose_iou"] < rows[name]["pose_iou"]
    assert "iuv.onnx" in truth.describe()["weights_sha256"]["pose"]


def test_numbers_that_were_kept_are_of_one_choice_of_person(tmp_path):
    keys = set()
    for person in ("confident", "largest"):
        settings = load_settings(None, [f"prepare.person={person}"])
        for metric in (PoseError(), Keypoints()):
            metric.load(Tools(settings, Protocol(), torch.device("cpu")))
            keys.add(metric.make_key(Protocol()))
    assert len(keys) == 4


def test_an_estimator_without_its_weights_is_left_out_and_keypoints_are_not(people, tmp_path):
    pair = next((Path(a).stem, Path(b).stem) for a, b in people.pairs("test"))
    path = result_file(tmp_path / "out", "256", *pair)
    write_png(path, read_image(people.image("test", pair[1])))
    scores, (said,) = score(
        people,
        tmp_path / "out",
        "evaluate.metrics=[pose,keypoints]",
        "prepare.pose_estimator=densepose",
        f"prepare.densepose_weights={tmp_path / 'none.pkl'}",
    )
    assert set(scores.sizes["256"].rows[path.name]) == {"pckh"}
    assert said.startswith("pose is left out: ")
    assert "mcld weights download densepose" in said


def test_a_dataset_without_maps_has_no_pose_and_it_is_said_why(people, tmp_path):
    pair = next((Path(a).stem, Path(b).stem) for a, b in people.pairs("test"))
    path = result_file(tmp_path / "out", "256", *pair)
    write_png(path, read_image(people.image("test", pair[1])))
    bare = DatasetLayout(tmp_path / "bare")
    for place in (people.image("test", pair[0]), people.image("test", pair[1])):
        target = bare.root / "test" / place.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(place.read_bytes())
    bare.write_pairs("test", [(f"{pair[0]}.jpg", f"{pair[1]}.jpg")])
    scores, _ = score(bare, tmp_path / "out", "evaluate.metrics=[psnr,pose,texture]")
    found = scores.sizes["256"]
    assert set(found.rows[path.name]) == {"psnr"}
    assert (
        "test_densepose" in found.refused[path.name] or "test_texture" in found.refused[path.name]
    )
