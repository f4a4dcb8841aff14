"""People in random patches agree with their own texture maps."""

import numpy as np
import pytest
import torch

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_iuv
from mcld.estimators.texture import extract_texture
from mcld.mannequin.patches import Patchwork
from mcld.pipeline import MCLDPipeline


@pytest.fixture
def iuv(dataset: DatasetLayout) -> np.ndarray:
    return read_iuv(dataset.densepose("train", dataset.names("train")[0].removesuffix(".jpg")))


def pose_of(iuv: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(iuv[..., ::-1])).permute(2, 0, 1)


def test_the_texture_map_of_the_picture_is_the_one_that_was_painted(pipeline: MCLDPipeline, iuv):
    patchwork = Patchwork(pipeline, (512, 512))
    for seed in range(4):
        image, painted = patchwork.paint(pose_of(iuv), torch.Generator().manual_seed(seed))
        extracted = extract_texture(np.asarray(image), iuv)
        seen = extracted.any(axis=-1)
        assert seen.mean() > 0.05
        difference = np.abs(extracted[seen].astype(int) - np.asarray(painted)[seen]).max(axis=-1)
        # Charts are laid out a few texels apart: other colours only where two patches meet.
        assert np.median(difference) <= 3
        assert (difference > 40).mean() < 0.15
        other = np.asarray(patchwork.paint(pose_of(iuv), torch.Generator().manual_seed(9))[1])
        assert np.median(np.abs(extracted[seen].astype(int) - other[seen]).max(axis=-1)) > 80


def test_what_training_gets_of_it_is_encoded_as_photos_are(pipeline: MCLDPipeline, iuv):
    patchwork = Patchwork(pipeline, (128, 88))
    image, texture = patchwork.paint(pose_of(iuv), torch.Generator().manual_seed(3))
    made = patchwork(pose_of(iuv), torch.Generator().manual_seed(3))
    with torch.no_grad():
        (latents, reference) = pipeline.latents_of([image, texture], 128, 88)
        assert torch.equal(made["target"], latents)
        assert torch.equal(made["reference_latents"], reference)
        assert torch.equal(made["source"], pipeline.embed([image, texture])[0])
    assert not made["face"].any()


def test_labels_that_resizing_blended_past_the_last_part_are_painted_as_it(pipeline, iuv):
    patchwork = Patchwork(pipeline, (128, 88))
    last = np.where(iuv[..., :1] == 0, iuv, (24, 100, 100))
    past = np.where(iuv[..., :1] == 0, iuv, (27, 100, 100))
    pictures = [
        np.asarray(patchwork.paint(pose_of(map_), torch.Generator().manual_seed(1))[0])
        for map_ in (last, past)
    ]
    assert np.array_equal(*pictures)
