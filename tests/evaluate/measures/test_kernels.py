"""KID of a folder of results."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mcld.dataset.pictures import read_image
from mcld.dataset.results import RESULT_SIZES, result_name
from mcld.evaluate.features import FeatureSet
from mcld.evaluate.fid import Inception
from mcld.evaluate.measures.kernels import KID
from mcld.evaluate.networks import find_torchvision_file
from mcld.evaluate.pairs import resize
from tests.evaluate.test_metrics import in_folder
from tests.evaluate.test_run import as_tensor, results_of, score


def test_kid_is_that_of_fids_features_of_results_and_training_pictures(dataset, networks, tmp_path):
    results = results_of(dataset, tmp_path / "results", noise=40)
    shutil.rmtree(results / "512")
    overrides = ("evaluate.metrics=[kid]", f"sample.pretrained={networks}")
    scores, _ = score(dataset, results, *overrides)
    network = Inception(find_torchvision_file("inception", in_folder(networks)))
    made = [read_image(path) for path in sorted((results / "256").iterdir())]
    train = [dataset.image("train", Path(name).stem) for name in dataset.names("train")]
    real = [resize(read_image(path), RESULT_SIZES["256"]) for path in train]
    assert len(made) == len(real) == 6
    x, y = (network(as_tensor(pictures)).double().numpy() for pictures in (real, made))

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    own = sum((kernel(s, s).sum() - np.trace(kernel(s, s))) / (6 * 5) for s in (x, y))
    expected = own - 2 * kernel(x, y).mean()
    assert scores.sizes["256"].values["kid"] == pytest.approx(expected, rel=1e-4)
    assert any("KID is of subsets of 6 pictures" in note for note in scores.list_notes())


def test_subsets_are_drawn_from_the_pairs_in_their_order_however_they_are_shared_among_processes(
    dataset, networks, tmp_path, monkeypatch
):
    results = results_of(dataset, tmp_path / "results")
    shutil.rmtree(results / "512")
    orders = []

    def note(_: KID, generated: FeatureSet, real: FeatureSet) -> dict[str, float]:
        orders.append([name.rpartition(" ")[2] for name in generated.names])
        return {"kid": 0.0}

    monkeypatch.setattr(KID, "compare", note)
    score(dataset, results, "evaluate.metrics=[kid]", f"sample.pretrained={networks}")
    pairs = [(Path(a).stem, Path(b).stem) for a, b in dataset.pairs("test")]
    assert orders == [[result_name(*pair) for pair in pairs]]
    assert pairs != sorted(pairs, key=lambda pair: pair[1])  # in which they are measured
