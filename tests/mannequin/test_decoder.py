"""Training what decodes, on what the network samples."""

from dataclasses import replace

import torch

from mcld.conditions import FocalConditions
from mcld.dataset.layout import DatasetLayout
from mcld.mannequin.decoder import SampledPictures, adapt_decoder
from mcld.mannequin.pose_guider import TexturedPoseGuider
from mcld.person import read_prepared
from mcld.pipeline import MCLDPipeline
from mcld.sampling.paint import read_inputs
from mcld.settings import load_settings
from tests.conftest import TINY


def stems_of(dataset: DatasetLayout) -> list[str]:
    return [name.removesuffix(".jpg") for name in dataset.names("train")]


def test_crops_are_cut_alike_and_one_in_two_shows_the_head():
    height, width, count = 256, 176, 400
    place = torch.arange(height // 8 * (width // 8)).view(1, 1, height // 8, width // 8)
    pixels = place.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3) % 251
    planes = pixels.to(torch.uint8).repeat(1, 3, 1, 1)
    poses = planes.clone()
    poses[:, 0] = 0
    poses[:, 0, 200:216, 144:160] = 23  # at the right edge, where few windows would show it
    sampled = SampledPictures(place.float(), planes, poses, planes)
    rows = torch.zeros(count, dtype=torch.int64)
    photos, latents, cropped, warped = sampled.draw_crops(rows, torch.Generator().manual_seed(0))
    assert photos.shape == (count, 3, 96, 96)
    assert latents.shape == (count, 1, 12, 12)
    assert cropped.shape == warped.shape == (count, 3, 96, 96)
    of_latents = latents.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3) % 251
    torch.testing.assert_close((photos + 1) * 127.5, of_latents.expand_as(photos))
    torch.testing.assert_close(warped * 255, of_latents.expand_as(photos))
    heads = (cropped[:, 2] > 0).flatten(1).sum(dim=1)
    assert 0.5 < (heads == 16 * 16).float().mean() < 0.8
    corners = latents[:, 0, 0, 0].long()
    assert len(corners.unique()) > 100
    assert int((corners // (width // 8)).min()) == 0


def test_a_refiner_shows_what_is_warped_onto_the_pose_and_not_in_the_latents(
    dataset: DatasetLayout, pipeline: MCLDPipeline
):
    names = [(a.removesuffix(".jpg"), b.removesuffix(".jpg")) for a, b in dataset.pairs("train")]
    photos = [read_prepared(dataset, "train", stem).photo for stem in stems_of(dataset)]
    pipeline.vae.fit(pipeline.image_processor.preprocess(photos, 64, 48))
    guider = TexturedPoseGuider.from_plain(pipeline.pose_guider)
    pipeline.register_modules(pose_guider=guider)
    source, target = (
        read_prepared(dataset, "test", name.removesuffix(".jpg"))
        for name in dataset.pairs("test")[0]
    )
    options = pipeline.resolve_options()
    with torch.no_grad():
        conditions = pipeline.conditions(read_inputs(pipeline, [source], target.iuv, options))
    noise = pipeline.draw_noise(1, options, torch.Generator().manual_seed(0))
    latents = pipeline.denoise(conditions, noise, options)
    photo = pipeline.image_processor.preprocess([target.photo], 64, 48) / 2 + 0.5
    seen = conditions.warped.any(dim=1)

    def picture(conditions: FocalConditions) -> torch.Tensor:
        with torch.no_grad():
            return pipeline.decode(latents, conditions)

    def error() -> float:
        return float((picture(conditions) - photo).abs().mean(dim=1)[seen].mean())

    before = error()
    counts: list[tuple[int, int]] = []
    adapt_decoder(
        pipeline,
        dataset,
        names,
        load_settings(None, TINY).train,
        images=3200,
        on_image=lambda *count: counts.append(count),
    )
    assert counts[-1] == (len(names) + 3200, len(names) + 3200)
    assert not any(p.requires_grad for p in pipeline.vae.parameters())
    assert not any(p.requires_grad for p in pipeline.refiner.parameters())
    assert error() < 0.7 * before

    redder = conditions.warped.clone()
    redder[:, 0] = torch.where(seen, (redder[:, 0] + 0.3).clamp(max=1), 0)
    moved = picture(replace(conditions, warped=redder)) - picture(conditions)
    assert moved[:, 0][seen].mean() > 0.05


def test_without_a_texture_the_decoder_alone_learns_from_what_the_network_samples(
    dataset: DatasetLayout, pipeline: MCLDPipeline
):
    names = [(a.removesuffix(".jpg"), b.removesuffix(".jpg")) for a, b in dataset.pairs("train")]
    before = {name: tensor.clone() for name, tensor in pipeline.vae.state_dict().items()}
    options = load_settings(None, TINY).train
    adapt_decoder(pipeline, dataset, names, options, images=64, on_image=lambda *_: None)
    after = pipeline.vae.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.startswith("refinement.")}
    assert pipeline.refiner is None
