"""DensePose maps: what the estimator answers, laid into the photo."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from mcld.errors import MCLDError, WeightsError
from mcld.estimators.pose import chart_to_iuv, check_densepose


def test_an_answer_is_laid_where_its_box_lies_and_cut_at_the_edge() -> None:
    labels = np.array([[0, 2], [24, 1]])
    uv = np.full((2, 2, 2), 0.5, np.float32)
    uv[0, 1, 1] = 1.0
    iuv = chart_to_iuv(labels, uv, [3.9, 1.2, 6.0, 3.4], (4, 5, 3))
    assert iuv.shape == (4, 5, 3)
    assert iuv[1, 3].tolist() == [0, 0, 0]  # background has no U and V
    assert iuv[1, 4].tolist() == [2, 127, 127]
    assert iuv[2, 4].tolist() == [1, 255, 127]
    assert iuv[:, :3].max() == 0
    cut = chart_to_iuv(labels, uv, [4.0, 3.0, 6.0, 5.0], (4, 5, 3))
    assert np.count_nonzero(cut[..., 0]) == 0
    assert cut.shape == (4, 5, 3)


def test_without_detectron2_the_commands_that_install_it_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MCLDError, match="--no-build-isolation"):
        check_densepose(tmp_path / "model.pkl")


def test_missing_weights_are_named_with_where_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    with pytest.raises(WeightsError, match=r"model\.pkl are missing: mcld weights download"):
        check_densepose(tmp_path / "model.pkl")


def test_a_recorded_answer_of_detectron2_is_laid_as_it_was_then() -> None:
    """Recorded from detectron2 0.6 and DensePose, on torch 2.15, with random weights."""
    answer = np.load(Path(__file__).parents[1] / "golden" / "densepose_answer.npz")
    iuv = chart_to_iuv(
        answer["labels"], answer["uv"], answer["box"].tolist(), tuple(answer["shape"])
    )
    np.testing.assert_array_equal(iuv, answer["iuv"])
    assert sorted(np.unique(iuv[..., 0])) == [0, 1, 7, 20, 21]
    left, top = answer["box"][:2].astype(int)
    rows, columns = np.nonzero(iuv[..., 0])
    assert rows.min() >= top
    assert columns.min() >= left
