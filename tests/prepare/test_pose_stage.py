"""Estimating the poses of several photos at once, as a GPU does."""

import numpy as np
import pytest

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_iuv, write_jpeg
from mcld.errors import MCLDError
from mcld.estimators.pose import EstimatedPose
from mcld.prepare.dataset import _make_batch
from mcld.prepare.stages import Picture, PoseStage
from mcld.settings import PrepareSettings
from tests.prepare.raw_folder import rendered

PICTURES = [Picture("train", f"person{k}") for k in range(3)]


class Known:
    """Knows the maps of the photos, which are told apart by a corner; remembers what was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.asked = error, []

    def estimate(self, images):
        images = list(images)
        self.asked.append(len(images))
        if self.error and len(images) > 1:
            raise self.error
        people = [round(float(image[:8, :8].mean()) / 100) for image in images]
        return [EstimatedPose(rendered(k, 0)[1], 1) if k < 2 else None for k in people]


@pytest.fixture
def stage(tmp_path):
    layout = DatasetLayout(tmp_path)
    for k, picture in enumerate(PICTURES):
        image = rendered(k, 0)[0].copy()
        image[:8, :8] = 100 * k
        write_jpeg(layout.image(*picture), image)
    made = PoseStage(layout, PrepareSettings())
    made.device = "cuda:0"
    made._estimator = Known()
    return made


def reasons(stage):
    return [failure and failure[1] for failure in _make_batch(stage, False, PICTURES)]


def test_a_gpu_gets_several_photos_at_once_and_each_its_own_map(stage):
    assert stage.batch_size >= len(PICTURES)
    assert reasons(stage) == [None, None, "no person was found"]
    assert stage._estimator.asked == [3]
    for k, picture in enumerate(PICTURES[:2]):
        assert np.array_equal(read_iuv(stage.output(picture)), rendered(k, 0)[1])


def test_a_photo_that_cannot_be_read_leaves_the_others_alone(stage):
    stage.layout.image(*PICTURES[1]).write_bytes(b"")
    assert reasons(stage) == [None, "train/person1.jpg is empty", "no person was found"]
    assert stage._estimator.asked == [1, 1]


def test_what_fails_together_is_tried_one_by_one_but_for_a_gpu_that_fails(stage):
    stage._estimator = Known(ZeroDivisionError())
    assert reasons(stage) == [None, None, "no person was found"]
    assert stage._estimator.asked == [3, 1, 1, 1]
    stage._estimator = Known(MCLDError("DensePose failed on cuda:0"))
    with pytest.raises(MCLDError, match="failed on cuda:0"):
        reasons(stage)
