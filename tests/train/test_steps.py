"""The optimizer's steps, on samples that are made by hand."""

import copy
from collections.abc import Iterator

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from mcld.machine.processes import runs_on_cpu
from mcld.mannequin.patches import Patches
from mcld.mannequin.pose_guider import TexturedPoseGuider
from mcld.pipeline import MCLDPipeline, ddim_scheduler
from mcld.settings import Settings, TrainSettings
from mcld.train.loop import take_steps
from mcld.train.report import TrainReport
from mcld.train.samples import Augment, Sample
from mcld.train.setup import prepare_network
from tests.train.runs import with_train

DROPPED = ("source", "texture", "face", "reference_latents", "warped")
"""What a sample whose conditions are dropped loses."""


def sample(number: int, dropped: bool = False, timestep: int | None = None) -> Sample:
    g = torch.Generator().manual_seed(number)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=g)

    def colours(*shape: int) -> torch.Tensor:
        return torch.randint(1, 256, shape, generator=g, dtype=torch.uint8)

    return Sample(
        number=number,
        target=normal(12, 8, 6),
        noise=normal(12, 8, 6),
        timestep=torch.randint(1000, (), generator=g)
        if timestep is None
        else torch.tensor(timestep),
        source=normal(1, 16),
        texture=normal(1, 16),
        reference_latents=normal(12, 8, 6),
        face=normal(512),
        pose=torch.cat([torch.randint(0, 25, (1, 64, 48), generator=g), colours(2, 64, 48)]).byte(),
        dropped=dropped,
        warped=colours(3, 64, 48),
    )


def changed(sample: Sample, name: str) -> Sample:
    """The same with another tensor in a field."""
    twin = copy.copy(sample)
    object.__setattr__(twin, name, getattr(sample, name).flip(-1))
    return twin


@pytest.fixture
def pipeline(pipeline: MCLDPipeline) -> MCLDPipeline:
    """The tiny network with random weights, those of a textured guider too."""
    guider = TexturedPoseGuider.from_plain(pipeline.pose_guider)
    nn.init.normal_(guider.patch_embedding.weight, std=0.1)
    pipeline.register_modules(pose_guider=guider)
    return pipeline


@pytest.fixture
def settings(tiny: Settings) -> Settings:
    """As many steps of four as there are samples for."""
    return with_train(tiny, batch_size=4)


def steps(
    pipeline: MCLDPipeline,
    settings: Settings,
    samples: list[Sample],
    augment: Augment | None = None,
    network: nn.Module | None = None,
    rate: float | None = None,
) -> Iterator[TrainReport]:
    """Steps of a copy of the network, or of `network`; given a rate, of plain gradient descent."""
    network = copy.deepcopy(pipeline.network) if network is None else network
    settings = with_train(settings, images=len(samples))
    accelerator = Accelerator(cpu=runs_on_cpu())
    model, optimizer, trained = prepare_network(network, settings.train, accelerator)
    if rate is not None:
        optimizer = torch.optim.SGD(trained, rate)
    focal = pipeline.config.focal_conditions
    return take_steps(
        *(model, optimizer, trained, accelerator, samples, settings, focal, 0, augment)
    )


def loss(*arguments: object, **options: object) -> float:
    """Of the first step."""
    return next(steps(*arguments, **options)).loss


def test_a_dropped_sample_loses_every_condition_but_its_pose(pipeline, settings):
    samples = [sample(number, dropped=number in (1, 2)) for number in range(4)]
    expected = loss(pipeline, settings, samples)
    for name in (*DROPPED, "pose"):
        for number in range(4):
            others = [changed(s, name) if s.number == number else s for s in samples]
            told = loss(pipeline, settings, others) != expected
            assert told == (number in (0, 3) or name == "pose"), (name, number)


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (["texture"], {"texture", "reference_latents", "warped"}),
        (["source"], {"source", "reference_latents"}),
        (["face"], {"face", "reference_latents"}),
        (["source", "texture", "face"], set(DROPPED)),
    ],
    ids=["texture", "source", "face", "all"],
)
def test_an_ablated_network_is_trained_without_what_it_lacks(pipeline, settings, kept, told):
    pipeline.register_to_config(focal_conditions=kept)
    samples = [sample(number) for number in range(4)]
    expected = loss(pipeline, settings, samples)
    for name in DROPPED:
        others = [changed(s, name) for s in samples]
        assert (loss(pipeline, settings, others) != expected) == (name in told), name


def test_weights_move_along_the_clipped_gradient_at_the_rate_that_warms_up(pipeline, settings):
    options = {"learning_rate": 0.08, "lr_warmup_images": 10, "max_grad_norm": 0.25}
    network = copy.deepcopy(pipeline.network)
    place = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
    rates, moves = [], []
    samples = [sample(number) for number in range(16)]
    for step in steps(pipeline, with_train(settings, **options), samples, network=network, rate=9):
        assert step.gradient_norm > 0.25  # as it was before it was clipped
        there = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
        rates.append(step.learning_rate)
        moves.append(float((there - place).norm()))
        place = there
    assert rates == pytest.approx([0.08 * share for share in (0.1, 0.5, 0.9, 1.0)])
    assert moves == pytest.approx([0.25 * rate for rate in rates], rel=1e-3)


def test_weights_decay_as_told_and_moments_are_adams(pipeline):
    for decay in (0.0, 0.25):
        network = copy.deepcopy(pipeline.network)
        options = TrainSettings(learning_rate=0.1, weight_decay=decay, frozen=())
        accelerator = Accelerator(cpu=runs_on_cpu())
        _, optimizer, trained = prepare_network(network, options, accelerator)
        before = [parameter.detach().clone() for parameter in trained]
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        for old, new in zip(before, trained, strict=True):
            torch.testing.assert_close(new.detach(), old * (1 - 0.1 * decay))


def test_a_timestep_of_little_noise_counts_up_to_gamma(pipeline, settings):
    timestep = 200
    alpha_squared = ddim_scheduler("scaled_linear").alphas_cumprod[timestep]
    s = float(alpha_squared / (1 - alpha_squared)) + 1
    samples = [sample(number, timestep=timestep) for number in range(4)]
    assert s > 2
    of = {g: loss(pipeline, with_train(settings, min_snr_gamma=g), samples) for g in (1, 2, 1e6)}
    assert of[2] == pytest.approx(2 * of[1])
    assert of[1e6] == pytest.approx(s * of[1], rel=1e-4)


def test_the_loss_on_the_face_counts_as_it_is_told(pipeline, settings):
    samples = [sample(number) for number in range(4)]
    of = {w: loss(pipeline, with_train(settings, face_loss_weight=w), samples) for w in (0, 1, 3)}
    assert of[1] > of[0]
    assert of[3] - of[0] == pytest.approx(3 * (of[1] - of[0]), rel=1e-3)


def test_what_is_augmented_is_what_is_trained_on(pipeline, settings):
    samples = [sample(number) for number in range(4)]
    for share in (0.0, 1.0):
        patches = Patches(pipeline, (64, 48), share)
        seen = loss(pipeline, settings, samples, patches)
        assert (seen == loss(pipeline, settings, samples)) == (share == 0)
    other = loss(pipeline, with_train(settings, seed=1), samples, patches)
    assert seen != other  # for no sample here is drawn from the seed, but the patches are


def test_a_network_is_compiled_where_it_is_asked_for(pipeline, settings):
    for wanted in (False, True):
        kinds = set()
        watch = nn.modules.module.register_module_forward_pre_hook(
            lambda module, _, kinds=kinds: kinds.add(type(module).__name__)
        )
        try:
            # Compiling takes a minute; so compiled it runs as it was written.
            with torch.compiler.set_stance("force_eager"):
                loss(pipeline, with_train(settings, compile=wanted), [sample(n) for n in range(4)])
        finally:
            watch.remove()
        assert ("OptimizedModule" in kinds) == wanted
        assert "MCLD" in kinds
