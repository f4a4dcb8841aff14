"""The loss on where attention looks in the texture map."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch.nn import functional

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image, read_iuv
from mcld.errors import SettingsError
from mcld.machine.processes import runs_on_cpu
from mcld.mannequin.texture_maps import TextureMaps
from mcld.model.attention import ReferenceFlows, token_places
from mcld.pipeline import MCLDPipeline
from mcld.settings import Settings, load_settings
from mcld.surface.warp import warp_texture
from mcld.train.checks import check_correspondence, check_sharding
from mcld.train.correspondence import correspondence_error, texel_places
from mcld.train.loop import take_steps
from mcld.train.plan import check_machine
from mcld.train.report import TrainReport
from mcld.train.samples import Sample
from mcld.train.setup import prepare_network
from mcld.train.start import new_pipeline
from tests.conftest import TINY
from tests.train.runs import run, steps_of, with_settings, with_train
from tests.train.test_steps import sample

GRID = 16, 11
"""Of the tokens of a picture of 128x88."""


@pytest.fixture
def pose(dataset: DatasetLayout) -> torch.Tensor:
    """Two IUV maps of mannequins, uint8 [2, 3, 128, 88]."""
    maps = [
        read_iuv(dataset.densepose("train", name.removesuffix(".jpg")))
        for name in dataset.names("train")[:2]
    ]
    return torch.from_numpy(np.stack(maps)).permute(0, 3, 1, 2)


@pytest.fixture
def everything(pose: torch.Tensor) -> torch.Tensor:
    """That a texture map without a hole shows."""
    return torch.ones(pose.shape[0], *pose.shape[2:], dtype=torch.bool)


def perfect(pose: torch.Tensor) -> ReferenceFlows:
    """The flow of attention that looks where the middle of each token is in the texture map."""
    flows = ReferenceFlows({"block": GRID})
    middles = pose[:, :, 4::8, 4::8]
    flows.by_block["block"] = texel_places(middles).flatten(1, 2)
    return flows


def test_the_place_of_a_pixel_is_where_the_texture_map_holds_its_colour(pose):
    """A map painted with its own coordinates is warped; its colours are the places."""
    places = np.linspace(0, 255, 512).round().astype(np.uint8)
    x, y = np.meshgrid(places, places)
    painted = np.stack([x, y, np.full_like(x, 255)], axis=-1)
    for map_, told in zip(pose, texel_places(pose), strict=True):
        iuv = map_.permute(1, 2, 0).numpy()
        body = iuv[..., 0] > 0
        colours = warp_texture(iuv, painted)[body][:, :2].astype(float)
        assert np.abs(colours / 127.5 - 1 - told.numpy()[body]).max() < 0.01
        assert np.ptp(told.numpy()[body], axis=0).min() > 1


def test_tokens_lie_in_the_middles_of_their_cells():
    places = token_places(2, 4)
    assert places.tolist() == [[x, y] for y in (-0.5, 0.5) for x in (-0.75, -0.25, 0.25, 0.75)]


def test_attention_that_finds_every_texel_has_no_error(pose, everything):
    flows = perfect(pose)
    assert correspondence_error(flows, pose, everything).tolist() == [0, 0]
    flows.by_block["block"] = flows.by_block["block"] + torch.tensor([0.3, -0.4])
    errors = correspondence_error(flows, pose, everything)
    assert errors.tolist() == pytest.approx([0.25, 0.25])


def test_what_is_around_the_body_or_hidden_in_the_source_or_dropped_does_not_count(
    pose, everything
):
    flows = perfect(pose)
    around = (pose[:, 0, 4::8, 4::8] == 0).flatten(1)
    assert around.any()
    flows.by_block["block"][around] = 5.0
    assert not correspondence_error(flows, pose, everything).any()
    flows.by_block["block"][:] = 5.0
    hidden = everything.clone()
    hidden[0] = False
    errors = correspondence_error(flows, pose, hidden)
    assert errors[0] == 0
    assert errors[1] > 1
    flows.by_block["block"] = flows.by_block["block"][1:]
    assert torch.equal(correspondence_error(flows, pose, everything), errors)
    flows.by_block["block"] = flows.by_block["block"][:0]
    assert not correspondence_error(flows, pose, everything).any()


def test_a_label_beside_another_does_not_count_for_resizing_blends_them(pose, everything):
    flows = perfect(pose)
    flows.by_block["block"][:] = 5.0
    pose[:, 0] = 2
    assert correspondence_error(flows, pose, everything).min() > 1
    pose[:, 0, ::2] = 15
    assert not correspondence_error(flows, pose, everything).any()


def test_a_flow_is_the_mean_place_of_attention_to_the_reference_alone():
    g = torch.Generator().manual_seed(0)
    queries, keys = (torch.randn(2, 3, tokens, 4, generator=g) for tokens in (5, 6))
    flows = ReferenceFlows({"block": (3, 2)})
    flows.add("block", queries, keys)
    flows.add("another", queries, keys)
    probabilities = (queries @ keys.transpose(-1, -2) / 2).softmax(dim=-1).mean(dim=1)
    assert list(flows.by_block) == ["block"]
    torch.testing.assert_close(flows.by_block["block"], probabilities @ token_places(3, 2))


def test_every_block_above_the_lowest_resolution_leaves_a_flow(pipeline):
    """Of a size that is not halved evenly, too."""
    config = {**pipeline.denoising_unet.config, "block_out_channels": (16, 32, 32)}
    config.update(
        down_block_types=("CrossAttnDownBlock2D",) * 3, up_block_types=("CrossAttnUpBlock2D",) * 3
    )
    unet = type(pipeline.denoising_unet)(**config)
    grids = unet.finer_grids(7, 6)
    assert {name.partition(".att")[0]: grid for name, grid in grids.items()} == {
        "down_blocks.0": (7, 6),
        "down_blocks.1": (4, 3),
        "up_blocks.1": (4, 3),
        "up_blocks.2": (7, 6),
    }
    reference = type(pipeline.reference_unet)(**config)
    latents, embedding = torch.randn(1, 12, 7, 6), torch.randn(1, 1, 16)
    features = reference(latents, embedding)
    context = unet.focal_context(features, embedding, embedding, embedding)
    flows = ReferenceFlows(grids)
    timestep, pose_features = torch.tensor(9), torch.randn(1, 16, 7, 6)
    told = unet(latents, timestep, pose_features, context, flows)
    assert torch.equal(told, unet(latents, timestep, pose_features, context))
    sizes = {name: len(flow[0]) for name, flow in flows.by_block.items()}
    assert sizes == {name: rows * columns for name, (rows, columns) in grids.items()}


def bodies(number: int, pose: torch.Tensor) -> Sample:
    """A sample of random numbers but for its pose."""
    shown = torch.ones(pose.shape[1:], dtype=torch.bool)
    changes = {"pose": pose, "shown": shown, "warped": None}
    twin = copy.copy(sample(number))
    for name, value in changes.items():
        object.__setattr__(twin, name, value)
    return twin


def take(
    pipeline: MCLDPipeline, settings: Settings, samples: list[Sample]
) -> tuple[list[TrainReport], dict[str, torch.Tensor]]:
    """Steps of a copy of the network: their reports, and the weights that they lead to."""
    network = copy.deepcopy(pipeline.network)
    accelerator = Accelerator(cpu=runs_on_cpu())
    settings = with_train(settings, images=len(samples))
    model, optimizer, trained = prepare_network(network, settings.train, accelerator)
    focal = pipeline.config.focal_conditions
    steps = take_steps(*(model, optimizer, trained, accelerator, samples, settings, focal, 0))
    return list(steps), network.state_dict()


@pytest.fixture
def samples(pose: torch.Tensor) -> list[Sample]:
    """Sixteen steps' worth of four samples, at 64x48."""
    small = functional.pad(pose[:, :, ::2, ::2], (2, 2))
    return [bodies(n % 4, small[n % 2]) for n in range(64)]


def test_attention_learns_where_to_look(pipeline, tiny, samples):
    errors = {}
    for weight in (1e-9, 10.0):
        options = {"batch_size": 4, "learning_rate": 3e-3, "correspondence": weight}
        steps, _ = take(pipeline, with_train(tiny, **options), samples)
        errors[weight] = [step.correspondence for step in steps]
    assert errors[10.0][0] == errors[1e-9][0]
    assert errors[10.0][-1] < 0.8 * errors[10.0][0]
    assert errors[10.0][-1] < 0.8 * errors[1e-9][-1]


def test_it_is_a_term_beside_the_loss_and_without_it_nothing_is_computed(
    pipeline, tiny, samples, monkeypatch
):
    tiny = with_train(tiny, batch_size=4)
    [on], told = take(pipeline, with_train(tiny, correspondence=0.5), samples[:4])
    monkeypatch.setattr(ReferenceFlows, "add", None)
    [off], untold = take(pipeline, tiny, samples[:4])
    assert on.loss == off.loss
    assert off.correspondence is None
    assert "correspondence" not in off.values()
    assert on.values()["correspondence"] > 0
    assert on.gradient_norm != off.gradient_norm
    moved = {name for name, weights in told.items() if not torch.equal(weights, untold[name])}
    assert {name.partition(".")[0] for name in moved} >= {"denoising_unet", "reference_unet"}


def test_gradient_checkpointing_changes_nothing(pipeline, tiny, samples):
    tiny = with_train(tiny, batch_size=4, correspondence=0.5, learning_rate=1e-3)
    whole, _ = take(pipeline, tiny, samples[:12])
    frugal, _ = take(pipeline, with_train(tiny, gradient_checkpointing=True), samples[:12])
    for name in ("loss", "gradient_norm", "correspondence"):
        values = [[getattr(step, name) for step in steps] for steps in (whole, frugal)]
        assert values[0] == pytest.approx(values[1], rel=1e-4), name


def test_a_run_with_it_counts_what_texture_maps_show_and_patches_show_everything(short, tmp_path):
    options = {"images": 8, "correspondence": 1e-3}
    errors = {}
    for patches in (0.0, 1.0):
        settings = with_train(short, **options, output=tmp_path / f"patches{patches}")
        steps = steps_of(with_settings(settings, "mannequin", patches=patches))
        errors[patches] = [step.correspondence for step in steps]
        log = (settings.train.output / "log.csv").read_text().splitlines()
        assert log[0].split(",")[-1] == "correspondence"
        assert [float(row.split(",")[-1]) for row in log[1:]] == errors[patches]
    assert all(error > 0 for steps in errors.values() for error in steps)
    assert errors[0.0] != errors[1.0]


def test_accumulated_batches_tell_what_whole_ones_do(short, tmp_path):
    errors = {}
    for accumulation in (1, 2):
        parts = {"batch_size": 4 // accumulation, "accumulation": accumulation}
        options = {**parts, "correspondence": 1.0, "output": tmp_path / f"by{accumulation}"}
        steps = steps_of(with_train(short, **options, images=8))
        errors[accumulation] = [step.correspondence for step in steps]
    assert errors[1] == pytest.approx(errors[2], rel=1e-4)


def test_a_texture_map_shows_of_a_pose_what_it_has_no_hole_for(dataset, tmp_path, pose):
    stem = dataset.names("train")[0].removesuffix(".jpg")
    maps = TextureMaps(tmp_path, dataset, "train")
    texture = read_image(dataset.texture("train", stem))
    maps.unpack([stem], lambda *_: None)
    for map_ in pose:
        shown = maps.find_shown(stem, map_).numpy()
        warped = warp_texture(map_.permute(1, 2, 0).numpy(), texture)
        assert np.array_equal(shown, warped.any(axis=-1))
        assert 0 < shown.sum() <= (map_[0] > 0).sum()
    past = pose[0].clone()
    past[0][past[0] > 0] = 27  # as bicubic resizing leaves it
    maps.find_shown(stem, past)


def test_it_is_refused_where_attention_cannot_be_told(short, tiny, tmp_path):
    source = with_settings(tiny, "model", reference_input="source")
    with pytest.raises(SettingsError, match="ReferenceNet sees the source: set it to 0"):
        run(with_train(source, correspondence=1e-3))
    assert not list(tiny.train.output.glob("start*"))  # before any encoder is trained
    one = load_settings(None, [*TINY, "mannequin.block_out_channels=[16]"])
    with pytest.raises(SettingsError, match="has one alone: set it to 0"):
        check_correspondence(with_train(one, correspondence=1e-3).train, new_pipeline(one))
    accelerator = SimpleNamespace(
        distributed_type=DistributedType.FSDP,
        is_fsdp2=True,
        state=SimpleNamespace(fsdp_plugin=SimpleNamespace(auto_wrap_policy=None)),
    )
    check_sharding(short.train, accelerator)
    with pytest.raises(SettingsError, match=r"train\.correspondence .* under FSDP"):
        check_sharding(with_train(short, correspondence=1e-3).train, accelerator)
    with pytest.raises(SettingsError, match=r"where the network is compiled: set it to 0"):
        check_machine(with_train(short, correspondence=1e-3, compile=True).train, 1)
