"""What the results of a folder wear, beside their sources' texture maps."""

from pathlib import Path

import numpy as np
import pytest

from mcld.dataset.pictures import read_image, read_iuv
from mcld.dataset.results import result_file
from mcld.evaluate.pairs import fit_iuv
from mcld.evaluate.texture_error import compare_textures, unroll
from tests.evaluate.test_run import results_of, score


def test_the_result_is_unrolled_by_the_targets_map_at_its_own_size(dataset, tmp_path):
    results = results_of(dataset, tmp_path / "results")
    scores, said = score(dataset, results, "evaluate.metrics=[texture]")
    assert said == []
    for size, shape in (("256", (256, 176)), ("512", (512, 352))):
        for pair in dataset.pairs("test"):
            source, target = (Path(name).stem for name in pair)
            path = result_file(results, size, source, target)
            iuv = fit_iuv(read_iuv(dataset.densepose("test", target)), shape)
            own = unroll(read_image(path), iuv)
            expected = compare_textures(read_image(dataset.texture("test", source)), own)
            assert scores.sizes[size].rows[path.name] == pytest.approx(expected)


def test_a_texture_map_of_another_size_is_told(dataset, tmp_path, monkeypatch):
    results = results_of(dataset, tmp_path / "results")
    small = np.zeros((64, 64, 3), np.uint8)
    monkeypatch.setattr("mcld.evaluate.pairs.Pair.source_texture", small)
    scores, _ = score(dataset, results, "evaluate.metrics=[psnr,texture]")
    assert "is 64x64, not 512x512" in next(iter(scores.sizes["256"].refused.values()))
