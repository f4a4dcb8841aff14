"""People in random patches agree with their own texture maps."""

import numpy as np
import pytest
import torch
from torch import Tensor

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_iuv
from mcld.estimators.texture import extract_texture
from mcld.mannequin.patches import Patches
from mcld.pipeline import MCLDPipeline


@pytest.fixture
def iuv(dataset: DatasetLayout) -> np.ndarray:
    return read_iuv(dataset.densepose("train", dataset.names("train")[0].removesuffix(".jpg")))


def as_tensor(iuv: np.ndarray) -> Tensor:
    return torch.from_numpy(iuv).permute(2, 0, 1)


def test_the_texture_map_of_the_picture_is_the_one_that_was_painted(pipeline: MCLDPipeline, iuv):
    patches = Patches(pipeline, (512, 512), 1.0)
    for seed in range(4):
        image, painted = patches.paint(as_tensor(iuv), torch.Generator().manual_seed(seed))
        extracted = extract_texture(np.asarray(image), iuv)
        seen = extracted.any(axis=-1)
        assert seen.mean() > 0.05
        difference = np.abs(extracted[seen].astype(int) - np.asarray(painted)[seen]).max(axis=-1)
        # Charts are laid out a few texels apart: other colours only where two patches meet.
        assert np.median(difference) <= 3
        assert (difference > 40).mean() < 0.15
        other = np.asarray(patches.paint(as_tensor(iuv), torch.Generator().manual_seed(9))[1])
        assert np.median(np.abs(extracted[seen].astype(int) - other[seen]).max(axis=-1)) > 80


@pytest.fixture
def batch(iuv) -> dict[str, Tensor]:
    """Eight samples in the pose of `iuv`, of random numbers."""
    g = torch.Generator().manual_seed(0)
    return {
        "target": torch.randn(8, 12, 16, 11, generator=g),
        "reference_latents": torch.randn(8, 12, 16, 11, generator=g),
        "source": torch.randn(8, 1, 16, generator=g),
        "texture": torch.randn(8, 1, 16, generator=g),
        "face": torch.randn(8, 512, generator=g),
        "timestep": torch.arange(8) * 100,
        "pose": as_tensor(iuv).expand(8, -1, -1, -1).contiguous(),
        "warped": torch.full((8, 3, *iuv.shape[:2]), 7, dtype=torch.uint8),
        "shown": torch.zeros(8, *iuv.shape[:2], dtype=torch.bool),
    }


def generators(seeds: range) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_what_training_gets_of_it_is_encoded_as_photos_are(pipeline: MCLDPipeline, iuv, batch):
    patches = Patches(pipeline, (128, 88), 1.0)
    made = patches(batch, generators(range(8)))
    (g,) = generators(range(3, 4))
    torch.rand((), generator=g)  # what decides whether a sample is one
    image, texture = patches.paint(as_tensor(iuv), g)
    with torch.no_grad():
        latents, reference, source, embedding = (
            part[3]
            for part in (
                made["target"],
                made["reference_latents"],
                made["source"],
                made["texture"],
            )
        )
        pixels = pipeline.image_processor.preprocess([image, texture], 128, 88)
        wanted = pipeline.encode_moments(pixels)[0]
        torch.testing.assert_close(latents, wanted[0])
        torch.testing.assert_close(reference, wanted[1])
        embedded = pipeline.embed(pipeline.encoder_pixels([image, texture]))
        torch.testing.assert_close(torch.stack([source, embedding]), embedded)
    assert not made["face"].any()
    assert not made["warped"].any()
    assert made["shown"].all()
    assert torch.equal(made["pose"], batch["pose"])
    assert made["timestep"].tolist() == [500 + 50 * k for k in range(8)]


def test_a_share_of_the_samples_is_changed_whatever_batch_they_are_in(pipeline, batch):
    patches = Patches(pipeline, (128, 88), 0.5)
    together = patches(batch, generators(range(8)))
    changed = [k for k in range(8) if not torch.equal(together["face"][k], batch["face"][k])]
    assert 0 < len(changed) < 8
    for k in range(8):
        alone = patches(
            {name: t[k : k + 1] for name, t in batch.items()}, generators(range(k, k + 1))
        )
        for name, tensor in alone.items():
            torch.testing.assert_close(tensor[0], together[name][k])
            if k not in changed:
                assert torch.equal(tensor[0], batch[name][k])
    draws = [torch.rand((), generator=g) for g in generators(range(4000))]
    assert np.mean([float(draw) < 0.5 for draw in draws]) == pytest.approx(0.5, abs=0.05)


def test_labels_that_resizing_blended_past_the_last_part_are_painted_as_it(pipeline, iuv):
    patches = Patches(pipeline, (128, 88), 1.0)
    last = np.where(iuv[..., :1] == 0, iuv, np.uint8((24, 100, 100)))
    past = np.where(iuv[..., :1] == 0, iuv, np.uint8((27, 100, 100)))
    pictures = [
        np.asarray(patches.paint(as_tensor(map_), torch.Generator().manual_seed(1))[0])
        for map_ in (last, past)
    ]
    assert np.array_equal(*pictures)
