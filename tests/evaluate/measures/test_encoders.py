"""Folders of results, scored by what DINOv2 and CLIP see: single pictures and sets."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import svdvals
from torch.nn.functional import cosine_similarity

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image
from mcld.dataset.results import RESULT_SIZES, result_file
from mcld.evaluate.encoders import Clip, Dino, Encoder, share_encoder
from mcld.evaluate.mmd import compute_cmmd
from mcld.evaluate.pairs import resize
from mcld.mannequin.prepare import prepare_mannequins
from tests.evaluate.encoders import write_encoders
from tests.evaluate.test_metrics import in_folder
from tests.evaluate.test_run import results_of, score


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("encoders")
    write_encoders(root)
    return root


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> DatasetLayout:
    """Two dolls in two pictures each, of the size of the results."""
    root = tmp_path_factory.mktemp("world") / "own"
    return prepare_mannequins(
        root, 2, seed=5, style="dolls", pictures=2, size=(256, 176), workers=1
    )


@pytest.fixture
def results(world, tmp_path) -> Path:
    """At 176x256 alone."""
    folder = results_of(world, tmp_path / "results", noise=30)
    for path in sorted((folder / "512").iterdir()):
        path.unlink()
    (folder / "512").rmdir()
    return folder


def see(encoder: Encoder, paths: list[Path]) -> torch.Tensor:
    return encoder([resize(read_image(path), RESULT_SIZES["256"]) for path in paths])


@pytest.mark.parametrize(("metric", "encoder"), [("dino", Dino), ("clip", Clip)])
def test_results_are_compared_with_their_truths_and_sources(
    world, results, pretrained, metric, encoder
):
    scores, said = score(
        world, results, f"evaluate.metrics=[{metric}]", f"sample.pretrained={pretrained}"
    )
    assert said == []
    pairs = [(Path(a).stem, Path(b).stem) for a, b in world.pairs("test")]
    files = [result_file(results, "256", *pair) for pair in pairs]
    network = encoder(in_folder(pretrained))
    made, source, truth = (
        see(network, paths)
        for paths in (
            files,
            [world.image("test", a) for a, _ in pairs],
            [world.image("test", b) for _, b in pairs],
        )
    )
    rows = scores.sizes["256"].rows
    for name, others in (("truth", truth), ("source", source)):
        found = [rows[file.name][f"{metric}_{name}"] for file in files]
        assert found == pytest.approx(cosine_similarity(made, others).tolist(), abs=1e-5)
    described = scores.describe()
    assert described["weights_sha256"][metric] == {network.file.name: network.sha256}
    assert "transformers" in described["versions"]
    assert "to the source photo" in described["protocol"][metric]


def test_sets_are_compared_with_all_training_pictures(world, results, pretrained):
    scores, _ = score(
        world, results, "evaluate.metrics=[cmmd,fd_dinov2]", f"sample.pretrained={pretrained}"
    )
    values = scores.sizes["256"].values
    train = [world.image("train", Path(name).stem) for name in world.names("train")]
    made = sorted((results / "256").iterdir())
    clip = Clip(in_folder(pretrained))
    assert values["cmmd"] == pytest.approx(
        compute_cmmd(see(clip, made), see(clip, train)), rel=1e-4
    )
    dino = Dino(in_folder(pretrained))
    a, b = (see(dino, paths).double().numpy() for paths in (train, made))
    gap = a.mean(axis=0) - b.mean(axis=0)
    roots = [(x - x.mean(axis=0)) / np.sqrt(len(x) - 1) for x in (a, b)]
    spread = sum((root**2).sum() for root in roots) - 2 * svdvals(roots[0] @ roots[1].T).sum()
    assert values["fd_dinov2"] == pytest.approx(gap @ gap + spread, rel=1e-3)
    assert any("FD-DINOv2 is of 2 generated" in note for note in scores.list_notes())


def test_networks_that_are_not_there_leave_their_metrics_out_and_say_how_to_get_them(
    world, results, tmp_path
):
    scores, said = score(
        world,
        results,
        "evaluate.metrics=[psnr,dino,clip,cmmd,fd_dinov2,lpips_vgg,dino_parts]",
        f"sample.pretrained={tmp_path}",
    )
    left_out = scores.sizes["256"].left_out
    assert set(left_out) == {"dino", "clip", "cmmd", "fd_dinov2", "lpips_vgg", "dino_parts"}
    for metric, name in (("cmmd", "clip-l14-336"), ("dino", "dinov2"), ("lpips_vgg", "vgg16")):
        assert f"mcld weights download {name}" in left_out[metric]
    assert len(said) == len(left_out)


def test_metrics_share_a_network_as_long_as_one_of_them_lives(pretrained):
    settings, device = in_folder(pretrained), torch.device("cpu")
    first = share_encoder(Dino, settings, device)
    assert share_encoder(Dino, settings, device) is first
    assert share_encoder(Clip, settings, device) is not first
