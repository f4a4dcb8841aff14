"""The frozen encoders of a new network."""

import numpy as np
import torch
from PIL import Image

from mcld.dataset.layout import DatasetLayout
from mcld.mannequin.encoders import average_parts, fit_autoencoder, fit_image_encoder
from mcld.pipeline import MCLDPipeline


def stems_of(dataset: DatasetLayout) -> list[str]:
    return [name.removesuffix(".jpg") for name in dataset.names("train")]


def test_part_colours_are_means_over_each_part_and_unknown_where_it_is_not_seen():
    image = np.zeros((4, 6, 3), np.uint8)
    image[:, 3:] = (255, 51, 0)
    iuv = np.zeros((4, 6, 3), np.uint8)
    iuv[:, 3:, 0] = 7
    colours = average_parts(image, iuv)
    torch.testing.assert_close(colours[0], torch.zeros(3))
    torch.testing.assert_close(colours[7], torch.tensor([1.0, 0.2, 0.0]))
    assert colours[[1, 6, 8, 24]].isnan().all()


def test_the_image_encoder_is_trained_and_frozen_and_reports_to_the_end(
    dataset: DatasetLayout, pipeline: MCLDPipeline
):
    before = pipeline.image_encoder.state_dict()["visual_projection.weight"].clone()
    counts: list[tuple[int, int]] = []
    fit_image_encoder(
        pipeline,
        dataset,
        stems_of(dataset),
        images=128,
        seed=0,
        on_image=lambda *count: counts.append(count),
    )
    assert counts[-1] == (128, 128)
    after = pipeline.image_encoder.state_dict()["visual_projection.weight"]
    assert not torch.equal(before, after)
    assert not any(p.requires_grad for p in pipeline.image_encoder.parameters())


def test_the_autoencoder_gives_a_photo_back_and_sees_through_noise_on_latents(
    dataset: DatasetLayout, pipeline: MCLDPipeline
):
    counts: list[tuple[int, int]] = []
    fit_autoencoder(
        pipeline,
        dataset,
        stems_of(dataset),
        (64, 48),
        images=6400,
        seed=0,
        on_image=lambda *count: counts.append(count),
    )
    assert counts[-1] == (6400, 6400)
    vae = pipeline.vae
    assert not any(p.requires_grad for p in vae.parameters())
    image = Image.open(dataset.image("train", stems_of(dataset)[0]))
    pixels = pipeline.image_processor.preprocess([image], 64, 48)
    latents = vae.encode(pixels).latent_dist.mode()
    noisy = latents + 0.3 * torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))

    def error(back: torch.Tensor) -> float:
        return float(((back - pixels) ** 2).mean() / pixels.var())

    with torch.no_grad():
        assert error(vae.decode(latents).sample) < 0.2
        assert error(vae.decode(noisy).sample) < 0.9 * error(vae.decoder(noisy))
