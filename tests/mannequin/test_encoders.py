"""The frozen encoders of a new network."""

import numpy as np
import torch
from PIL import Image

from mcld.dataset.layout import DatasetLayout
from mcld.mannequin.encoders import (
    _Sampled,
    adapt_decoder,
    average_parts,
    fit_autoencoder,
    fit_image_encoder,
)
from mcld.person import read_prepared
from mcld.pipeline import MCLDPipeline
from mcld.settings import Settings, load_settings
from tests.conftest import TINY


def stems_of(dataset: DatasetLayout) -> list[str]:
    return [name.removesuffix(".jpg") for name in dataset.names("train")]


def test_part_colours_are_means_over_each_part_and_unknown_where_it_is_not_seen():
    image = np.zeros((4, 6, 3), np.uint8)
    image[:, 3:] = (255, 51, 0)
    labels = np.zeros((4, 6, 3), np.uint8)
    labels[:, 3:, 2] = 7
    colours = average_parts(Image.fromarray(image), Image.fromarray(labels))
    torch.testing.assert_close(colours[0], torch.zeros(3))
    torch.testing.assert_close(colours[7], torch.tensor([1.0, 0.2, 0.0]))
    assert colours[[1, 6, 8, 24]].isnan().all()


def test_the_image_encoder_is_trained_and_frozen_and_reports_to_the_end(
    tiny: Settings, dataset: DatasetLayout, pipeline: MCLDPipeline
):
    before = pipeline.image_encoder.state_dict()["visual_projection.weight"].clone()
    counts: list[tuple[int, int]] = []
    fit_image_encoder(
        pipeline, dataset, stems_of(dataset), tiny, lambda *count: counts.append(count)
    )
    assert counts[-1] == (128, 128)
    after = pipeline.image_encoder.state_dict()["visual_projection.weight"]
    assert not torch.equal(before, after)
    assert not any(p.requires_grad for p in pipeline.image_encoder.parameters())


def test_the_autoencoder_gives_a_photo_back_and_sees_through_noise_on_latents(
    dataset: DatasetLayout, pipeline: MCLDPipeline
):
    settings = load_settings(None, [*TINY, "mannequin.decoder_images=6400"])
    counts: list[tuple[int, int]] = []
    fit_autoencoder(
        pipeline, dataset, stems_of(dataset), settings, lambda *count: counts.append(count)
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


def test_crops_are_cut_alike_and_one_in_two_shows_the_head():
    height, width, count = 256, 176, 400
    place = torch.arange(height // 8 * (width // 8)).view(1, 1, height // 8, width // 8)
    pixels = place.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3) % 251
    poses = pixels.to(torch.uint8).repeat(1, 6, 1, 1)
    poses[:, 2] = 0
    poses[:, 2, 200:216, 144:160] = 23  # at the right edge, where few windows would show it
    sampled = _Sampled(place.float(), pixels.to(torch.uint8).repeat(1, 3, 1, 1), poses)
    rows = torch.zeros(count, dtype=torch.int64)
    photos, latents, cropped = sampled.cropped(rows, torch.Generator().manual_seed(0))
    assert photos.shape == (count, 3, 96, 96)
    assert latents.shape == (count, 1, 12, 12)
    assert cropped.shape == (count, 6, 96, 96)
    of_latents = latents.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3) % 251
    torch.testing.assert_close((photos + 1) * 127.5, of_latents.expand_as(photos))
    torch.testing.assert_close(cropped[:, 3:] * 255, of_latents.expand_as(photos))
    heads = (cropped[:, 2] > 0).flatten(1).sum(dim=1)
    assert 0.5 < (heads == 16 * 16).float().mean() < 0.8
    corners = latents[:, 0, 0, 0].long()
    assert len(corners.unique()) > 100
    assert int((corners // (width // 8)).min()) == 0


def test_a_textured_decoder_shows_what_is_warped_onto_the_pose_and_not_in_the_latents(
    dataset: DatasetLayout, pipeline: MCLDPipeline
):
    names = [(a.removesuffix(".jpg"), b.removesuffix(".jpg")) for a, b in dataset.pairs("train")]
    photos = [read_prepared(dataset, "train", stem).image for stem in stems_of(dataset)]
    pipeline.vae.fit(pipeline.image_processor.preprocess(photos, 64, 48))
    pipeline.pose_guider.add_texture()
    source, target = (
        read_prepared(dataset, "test", name.removesuffix(".jpg"))
        for name in dataset.pairs("test")[0]
    )
    conditions = [source.image], [source.texture], [target.pose], source.face[None]
    generator = torch.Generator().manual_seed(0)
    latents = pipeline(
        *conditions, height=64, width=48, generator=generator, output_type="latent"
    ).images
    pose = pipeline.inputs(*conditions, 64, 48).pose
    photo = pipeline.image_processor.preprocess([target.image], 64, 48)
    seen = pose[:, 3:].any(dim=1)

    def picture(pose: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            decoded: torch.Tensor = pipeline.decode(latents, pose)
        return decoded

    def error() -> float:
        return float((picture(pose) - photo).abs().mean(dim=1)[seen].mean())

    before = error()
    settings = load_settings(None, [*TINY, "train.adapt_decoder_images=3200"])
    counts: list[tuple[int, int]] = []
    adapt_decoder(pipeline, dataset, names, settings, lambda *count: counts.append(count))
    assert counts[-1] == (len(names) + 3200, len(names) + 3200)
    assert pipeline.vae.config.textured
    assert not any(p.requires_grad for p in pipeline.vae.parameters())
    assert error() < 0.7 * before

    redder = pose.clone()
    redder[:, 3] = torch.where(seen, (pose[:, 3] + 0.3).clamp(max=1), 0)
    moved = (picture(redder) - picture(pose))[:, 0][seen].mean()
    assert moved > 0.1
