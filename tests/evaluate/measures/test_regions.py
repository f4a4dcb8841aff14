"""LPIPS and DINOv2 inside parts of the body, of a folder of results."""

import shutil
from pathlib import Path

import pytest
import torch

from mcld.dataset.pictures import read_image, read_iuv, write_png
from mcld.dataset.results import RESULT_SIZES, result_file
from mcld.evaluate.measures.regions import REGIONS
from mcld.evaluate.networks import LPIPS, find_torchvision_file
from mcld.evaluate.pairs import fit_iuv, resize, to_tensor
from mcld.evaluate.regions import PARTS_OF, cut_region
from tests.evaluate.encoders import write_encoders
from tests.evaluate.test_metrics import in_folder
from tests.evaluate.test_run import results_of, score


def test_only_the_region_that_is_changed_differs_and_by_what_lpips_says(
    dataset, networks, tmp_path
):
    write_encoders(tmp_path / "weights")
    for file in networks.iterdir():
        (tmp_path / "weights" / file.name).symlink_to(file)
    results = results_of(dataset, tmp_path / "results", noise=0)
    shutil.rmtree(results / "512")
    network = LPIPS(find_torchvision_file("alexnet", in_folder(networks)))
    expected = {}
    for pair in dataset.pairs("test"):
        source, target = (Path(name).stem for name in pair)
        path = result_file(results, "256", source, target)
        image = read_image(path)
        iuv = fit_iuv(read_iuv(dataset.densepose("test", target)), RESULT_SIZES["256"])
        torso = iuv[..., 0][..., None] == list(PARTS_OF["torso"])
        changed = image.copy()
        changed[torso.any(axis=-1)] = 255 - changed[torso.any(axis=-1)]
        write_png(path, changed)
        truth = resize(read_image(dataset.image("test", target)), RESULT_SIZES["256"])
        cut = cut_region("torso", iuv, changed, truth)
        pictures = (to_tensor([one], torch.device("cpu")) for one in cut)
        expected[path.name] = network(*pictures).item()
    scores, said = score(
        dataset,
        results,
        "evaluate.metrics=[lpips_parts,dino_parts]",
        f"sample.pretrained={tmp_path / 'weights'}",
    )
    assert said == []
    for name, row in scores.sizes["256"].rows.items():
        assert {f"lpips_{region}" for region in REGIONS} >= row.keys() - {
            f"dino_{region}" for region in REGIONS
        }
        assert row["lpips_torso"] == pytest.approx(expected[name], abs=1e-5)
        assert row["lpips_torso"] > 1e-3
        assert row["dino_torso"] < 0.999
        assert row["lpips_legs"] == pytest.approx(0, abs=1e-6)
        assert row["dino_legs"] == pytest.approx(1, abs=1e-5)
