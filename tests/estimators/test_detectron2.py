"""DensePose by its authors' code beside ours, where detectron2 is installed."""

from pathlib import Path

import numpy as np
import pytest

from mcld.dataset.pictures import read_image
from mcld.estimators.densepose.estimator import DensePose
from mcld.estimators.densepose.iuv import lay_chart
from mcld.machine.tensor_files import write_tensors
from tests.estimators.densepose.test_golden import assert_alike
from tests.golden.densepose.weights import FOLDER, make_weights


def test_a_recorded_answer_of_detectron2_is_laid_as_it_was_then():
    """Recorded from detectron2 0.6 and DensePose, on torch 2.15, with random weights."""
    answer = np.load(Path(__file__).parents[1] / "golden" / "densepose_answer.npz")
    uv = (np.clip(answer["uv"], 0, 1) * 255).astype(np.uint8)
    chart = np.dstack([answer["labels"].astype(np.uint8), *uv])
    iuv = lay_chart(chart, answer["box"].tolist(), tuple(answer["shape"]))
    np.testing.assert_array_equal(iuv, answer["iuv"])
    assert sorted(np.unique(iuv[..., 0])) == [0, 1, 7, 20, 21]


@pytest.mark.parametrize("name", ["mannequin", "photo", "nobody"])
def test_both_estimators_make_the_same_map(name, tmp_path):
    pytest.importorskip("detectron2")
    pytest.importorskip("densepose")
    from mcld.estimators.detectron2 import Detectron2DensePose

    write_tensors(tmp_path / "model.safetensors", make_weights(seed=1))
    image = read_image(FOLDER / f"{name}.png")
    for person in ("confident", "largest", 2):
        (ours,), (theirs,) = (
            kind(tmp_path / "model.safetensors", "cpu", person).estimate([image])
            for kind in (DensePose, Detectron2DensePose)
        )
        assert (ours is None) == (theirs is None)
        if ours and theirs:
            assert ours.people == theirs.people
            assert_alike(ours.iuv, theirs.iuv)
