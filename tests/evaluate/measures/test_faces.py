"""Faces of results beside those of their sources."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image, write_jpeg, write_png
from mcld.dataset.results import result_file
from mcld.estimators.face import InsightFace
from mcld.evaluate.measures.faces import FACE_DETECTION, FACE_PACK
from mcld.settings import load_settings
from tests.estimators.test_face import detector, recogniser
from tests.evaluate.test_run import score


def test_the_face_is_compared_with_the_sources_and_not_with_the_truths(tmp_path):
    root = tmp_path / "insightface" / "models" / FACE_PACK
    detector(root / "det_500m.onnx", red=0.99, size=FACE_DETECTION)
    recogniser(root / "w600k_mbf.onnx")
    random, layout = np.random.default_rng(0), DatasetLayout(tmp_path / "set")
    stems = [f"fashionWOMENTeesid000000010{k}_1front" for k in range(3)]
    shows_face = {stems[0]: True, stems[1]: True, stems[2]: False}
    for stem, face in shows_face.items():
        image = np.full((256, 176, 3), 128, np.uint8) + random.integers(
            0, 90, (256, 1, 3), np.uint8
        )
        if face:
            image[100:116, 60:76] = (255, 0, 0)
        write_jpeg(layout.image("test", stem), image)
    pairs = [(stems[0], stems[2]), (stems[1], stems[2]), (stems[2], stems[0])]
    layout.write_pairs("test", [(f"{a}.jpg", f"{b}.jpg") for a, b in pairs])
    for source, target in pairs:
        made = read_image(layout.image("test", stems[1]))
        write_png(result_file(tmp_path / "results", "256", source, target), made)
    override = f"prepare.insightface_root={root.parents[1]}"
    scores, said = score(
        layout, tmp_path / "results", "evaluate.metrics=[face_source,face]", override
    )
    assert said == []
    found = scores.sizes["256"]
    assert (found.values["faces_source"], found.values["faces"]) == (2, 1)
    faces = InsightFace(
        load_settings(overrides=[override]).prepare, FACE_PACK, "cpu", FACE_DETECTION
    )
    a, b = (faces.largest(read_image(layout.image("test", stem))) for stem in stems[:2])
    rows = [found.rows[result_file(Path(), "256", *pair).name] for pair in pairs]
    expected = float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert rows[0]["face_source_cosine"] == pytest.approx(expected, abs=1e-5)
    assert rows[1]["face_source_cosine"] == pytest.approx(1, abs=1e-5)
    assert "face_source_cosine" not in rows[2]
    assert expected < 1 - 1e-4
    shutil.rmtree(root)
    scores, said = score(
        layout, tmp_path / "results", "evaluate.metrics=[psnr,face_source]", override
    )
    assert "face_source" in scores.sizes["256"].left_out
    assert "mcld weights download buffalo_s" in said[0]
