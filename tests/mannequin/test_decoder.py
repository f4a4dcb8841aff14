"""Training what decodes, on what the network samples."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from mcld.conditions import FocalConditions
from mcld.dataset.layout import DatasetLayout
from mcld.errors import StoppedError
from mcld.mannequin.decoder import (
    Going,
    SampledPictures,
    adapt_decoder,
    add_refiner,
    choose_pairs,
    learn_to_paint,
    sample_pairs,
)
from mcld.mannequin.pose_guider import TexturedPoseGuider
from mcld.person.prepared import read_prepared
from mcld.pipeline import MCLDPipeline
from mcld.sampling.inputs import read_inputs
from mcld.settings import load_settings
from tests.conftest import TINY


def stems_of(dataset: DatasetLayout) -> list[str]:
    return [name.removesuffix(".jpg") for name in dataset.names("train")]


def adapt(
    pipeline: MCLDPipeline,
    dataset: DatasetLayout,
    pairs: list[tuple[str, str]],
    folder: Path,
    *,
    images: int,
    stop_at: int | None = None,
    scale: int = 1,
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Sample pairs and adapt the decoder; what was counted of both."""
    settings = load_settings(None, TINY)
    options = settings.train
    add_refiner(pipeline, (24, 28), scale, options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    counts: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    sampled = sample_pairs(
        pipeline, dataset, pairs, options, generator, folder, lambda *now: counts[0].append(now)
    )
    adapt_decoder(
        pipeline,
        sampled,
        images=images,
        generator=generator,
        on_image=lambda *now: counts[1].append(now),
        going=Going(folder / "decoder.pt", 9999, lambda: counts[1][-1][0] == stop_at),
    )
    return counts


def test_no_more_pairs_are_sampled_than_pictures_are_seen():
    pairs = [(str(number), "target") for number in range(540)]
    assert len(choose_pairs(pairs, 100)) == 90
    assert choose_pairs(pairs, 1) == pairs[:1]
    assert choose_pairs(pairs, 540) == choose_pairs(pairs, 10**6) == pairs
    assert 1024 < len(choose_pairs(pairs * 20, 10**6)) <= 2048


def test_in_bfloat16_it_computes_so_and_its_weights_stay_float32():
    part, seen = nn.Conv2d(3, 3, 1), []

    def paint(pixels: torch.Tensor) -> torch.Tensor:
        seen.append(part(pixels).dtype)
        return part(pixels).float()

    def learn(precision: torch.dtype) -> None:
        pixels = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        learn_to_paint(
            part,
            paint,
            4,
            lambda rows: (pixels[rows], pixels[rows]),
            images=32,
            generator=torch.Generator().manual_seed(0),
            on_image=lambda *_: None,
            precision=precision,
        )

    learn(torch.bfloat16)
    learn(torch.float32)
    assert seen == [torch.bfloat16, torch.float32]
    assert part.weight.dtype == torch.float32


@pytest.mark.parametrize("textured", [False, True])
def test_broken_off_an_adaptation_goes_on_to_the_same_weights_and_samples_nothing_again(
    dataset: DatasetLayout, pipeline: MCLDPipeline, tmp_path: Path, monkeypatch, textured: bool
):
    names = [(a.removesuffix(".jpg"), b.removesuffix(".jpg")) for a, b in dataset.pairs("train")]
    if textured:
        guider = TexturedPoseGuider.from_plain(pipeline.pose_guider)
        pipeline.register_modules(pose_guider=guider)
    whole = copy.deepcopy(pipeline)
    adapt(whole, dataset, names, tmp_path / "whole", images=150)

    first = copy.deepcopy(pipeline)
    with pytest.raises(StoppedError, match="after 64 of 150 pictures"):
        adapt(first, dataset, names, tmp_path / "broken", images=150, stop_at=64)
    monkeypatch.setattr(type(pipeline), "denoise", None)  # not again
    sampled, learnt = adapt(pipeline, dataset, names, tmp_path / "broken", images=150)
    assert sampled[-1] == (len(names), len(names))
    assert [seen for seen, _ in learnt] == [64, 96, 128, 150]
    for name in ("refiner", "vae") if textured else ("vae",):
        made = pipeline.components[name].state_dict()
        for key, tensor in whole.components[name].state_dict().items():
            assert torch.equal(tensor, made[key]), key


def test_sampling_that_was_broken_off_goes_on_to_the_same_pictures(
    dataset: DatasetLayout, pipeline: MCLDPipeline, tmp_path: Path
):
    names = [(a.removesuffix(".jpg"), b.removesuffix(".jpg")) for a, b in dataset.pairs("train")]
    options = load_settings(None, [*TINY, "train.batch_size=5"]).train

    def sample(folder: Path, on_pair=lambda *_: None) -> SampledPictures:
        generator = torch.Generator().manual_seed(0)
        return sample_pairs(pipeline, dataset, names, options, generator, folder, on_pair)

    def stop(done: int, _: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    whole = sample(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        sample(tmp_path / "broken", stop)
    assert len(list((tmp_path / "broken").iterdir())) == 2
    (tmp_path / "broken" / "000000.pt").write_bytes(b"damaged")
    again = sample(tmp_path / "broken")
    for name in ("latents", "photos", "poses"):
        assert torch.equal(getattr(whole, name), getattr(again, name))


def test_crops_are_cut_alike_and_one_in_two_shows_the_head():
    height, width, count = 256, 176, 400
    planes = torch.randint(256, (1, 3, height, width), dtype=torch.uint8)
    poses = planes.clone()
    poses[:, 0] = 0
    poses[:, 0, 200:216, 144:160] = 23  # at the right edge, where few windows would show it
    sampled = SampledPictures(torch.zeros(1, 1, 32, 22), planes, poses, planes, planes.half())
    rows = torch.zeros(count, dtype=torch.int64)
    photos, decoded, cropped, warped = sampled.draw_crops(rows, torch.Generator().manual_seed(0))
    assert photos.shape == decoded.shape == (count, 3, 128, 128)
    assert cropped.shape == warped.shape == (count, 3, 128, 128)
    torch.testing.assert_close((photos + 1) * 127.5, decoded)
    torch.testing.assert_close(warped * 255, decoded)
    heads = (cropped[:, 2] > 0).flatten(1).sum(dim=1)
    assert 0.5 < (heads == 16 * 16).float().mean() < 0.8
    assert len(photos[:, :, 0, 0].unique(dim=0)) > 80


def test_crops_of_enlarged_pictures_show_what_was_decoded_under_them():
    decoded = torch.arange(256 * 176).view(1, 1, 256, 176).repeat(1, 3, 1, 1) % 251
    planes = decoded.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3).to(torch.uint8)
    sampled = SampledPictures(torch.zeros(1, 1, 32, 22), planes, planes, planes, decoded.half())
    rows = torch.zeros(40, dtype=torch.int64)
    photos, under, *_ = sampled.draw_crops(rows, torch.Generator().manual_seed(0))
    assert photos.shape == (40, 3, 128, 128)
    assert under.shape == (40, 3, 64, 64)
    enlarged = under.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close((photos + 1) * 127.5, enlarged)


def test_some_crops_of_enlarged_pictures_have_maps_as_coarse_as_the_network_s():
    planes = torch.randint(256, (1, 3, 512, 352), dtype=torch.uint8)
    decoded = torch.zeros(1, 3, 256, 176)
    sampled = SampledPictures(torch.zeros(1, 1, 32, 22), planes, planes, planes, decoded)
    rows, generator = torch.zeros(200, dtype=torch.int64), torch.Generator().manual_seed(0)
    photos, _, poses, warped = sampled.draw_crops(rows, generator)
    fine = (photos + 1) / 2
    coarse = fine[..., ::2, ::2].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    is_fine, is_coarse = (
        (warped - one).abs().flatten(1).amax(dim=1) < 1e-5 for one in (fine, coarse)
    )
    assert torch.equal(is_fine, ~is_coarse)
    assert 0.15 < is_coarse.float().mean() < 0.35
    torch.testing.assert_close(poses, warped.flip(1))  # as networks read maps


def test_a_refiner_of_another_shape_is_made_anew_and_one_of_the_same_goes_on(
    pipeline: MCLDPipeline,
):
    add_refiner(pipeline, (24, 28), 1, 0)
    assert pipeline.refiner is None  # nothing is warped for it
    guider = TexturedPoseGuider.from_plain(pipeline.pose_guider)
    pipeline.register_modules(pose_guider=guider)
    add_refiner(pipeline, (24, 28), 1, 0)
    first = pipeline.refiner
    add_refiner(pipeline, (24, 28), 1, 5)
    assert pipeline.refiner is first
    for channels, scale in (((24, 28), 2), ((8, 8), 2)):
        before = pipeline.refiner
        add_refiner(pipeline, channels, scale, 0)
        assert pipeline.refiner is not before
        assert (tuple(pipeline.refiner.config.channels), pipeline.refiner.scale) == (
            channels,
            scale,
        )


@pytest.mark.parametrize("scale", [1, 2])
def test_a_refiner_shows_what_is_warped_onto_the_pose_and_not_in_the_latents(
    dataset: DatasetLayout, pipeline: MCLDPipeline, tmp_path: Path, scale: int
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
    add_refiner(pipeline, (24, 28), scale, 0)
    options = pipeline.resolve_options()
    with torch.no_grad():
        conditions = pipeline.conditions(read_inputs(pipeline, [source], target.iuv, options))
    noise = pipeline.draw_noise(1, options, torch.Generator().manual_seed(0))
    latents = pipeline.denoise(conditions, noise, options)
    size = scale * 64, scale * 48
    photo = pipeline.image_processor.preprocess([target.photo], *size) / 2 + 0.5
    seen = conditions.fine_warped.any(dim=1)

    def picture(conditions: FocalConditions) -> torch.Tensor:
        with torch.no_grad():
            return pipeline.decode(latents, conditions)

    def error() -> float:
        return float((picture(conditions) - photo).abs().mean(dim=1)[seen].mean())

    before = error()
    sampled, learnt = adapt(pipeline, dataset, names, tmp_path, images=3210, scale=scale)
    assert sampled[-1] == (len(names), len(names))
    assert learnt[-2:] == [(3200, 3210), (3210, 3210)]
    assert not any(p.requires_grad for p in pipeline.refiner.parameters())
    assert error() < 0.7 * before

    redder = conditions.fine_warped.clone()
    redder[:, 0] = torch.where(seen, (redder[:, 0] + 0.3).clamp(max=1), 0)
    moved = picture(replace(conditions, fine_warped=redder)) - picture(conditions)
    assert moved[:, 0][seen].mean() > 0.05


def test_without_a_texture_the_decoder_alone_learns_from_what_the_network_samples(
    dataset: DatasetLayout, pipeline: MCLDPipeline, tmp_path: Path
):
    names = [(a.removesuffix(".jpg"), b.removesuffix(".jpg")) for a, b in dataset.pairs("train")]
    before = {name: tensor.clone() for name, tensor in pipeline.vae.state_dict().items()}
    adapt(pipeline, dataset, names, tmp_path, images=64)
    after = pipeline.vae.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.startswith("refinement.")}
    assert pipeline.refiner is None
