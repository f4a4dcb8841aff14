"""What training sees is a function of the seed and of how many pictures came before."""

import pickle
from itertools import chain
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from mcld.conditions import scale_iuv
from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image
from mcld.mannequin.patches import Patches
from mcld.mannequin.texture_maps import TextureMaps
from mcld.pipeline import MCLDPipeline
from mcld.settings import TrainSettings, load_settings
from mcld.surface.warp import complete_texture, warp_texture
from mcld.train.cache import EncodedCache, EncodedPicture
from mcld.train.encode import fill_cache
from mcld.train.samples import BatchSampler, TrainingSamples, collate, shift_timesteps
from mcld.train.start import new_pipeline
from tests.conftest import TINY

STEMS = ["a", "b", "c", "d"]
PAIRS = torch.tensor([(0, 1), (1, 0), (2, 3), (3, 2), (0, 0)])
STD = torch.ones(1, 5)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> EncodedCache:
    """Four pictures of random numbers; latents with a standard deviation of a tenth."""
    root = tmp_path_factory.mktemp("cache")
    made = EncodedCache(root, DatasetLayout(root), "train")
    g = torch.Generator().manual_seed(0)

    def moments() -> torch.Tensor:
        return torch.stack([torch.randn(2, 3, 3, generator=g), torch.full((2, 3, 3), 0.1)])

    for stem in STEMS:
        encoded = EncodedPicture(
            latents=moments(),
            texture_latents=moments(),
            source=torch.randn(1, 5, generator=g),
            texture=torch.randn(1, 5, generator=g),
            face=torch.randn(512, generator=g),
            pose=torch.randint(0, 25, (3, 24, 24), generator=g, dtype=torch.uint8),
        )
        made.write(stem, encoded, "")
    return made


def made(cache: EncodedCache, **settings) -> TrainingSamples:
    return TrainingSamples(cache, STEMS, PAIRS, STD, TrainSettings(**settings))


def test_memory_that_is_not_pinned_is_copied_while_one_waits(cache):
    """A copy that nobody waits for goes wrong on Apple's GPUs: it may read what is freed."""

    class Copies(TorchDispatchMode):
        waited: ClassVar[list[bool]] = []

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function is torch.ops.aten._to_copy.default:
                self.waited.append(not kwargs.get("non_blocking"))
            return function(*args, **(kwargs or {}))

    batch = collate([made(cache)[0]])
    with Copies():
        batch.to(torch.device("meta"))
    assert Copies.waited == [True] * len(batch.tensors)


def test_a_sample_is_the_same_whenever_it_is_asked_for(cache):
    first, second = made(cache), made(cache)
    for n in (0, 3, 17, 1_000_003):
        second[n + 1]  # what was asked before does not matter
        a, b = first[n], second[n]
        for name in ("noise", "target", "timestep", "source", "reference_latents"):
            assert torch.equal(getattr(a, name), getattr(b, name))
        assert a.dropped == b.dropped


@given(st.floats(0.01, 100))
def test_shifted_timesteps_stay_in_range_and_in_order(shift: float) -> None:
    timesteps = torch.arange(1000)
    moved = shift_timesteps(timesteps, shift)
    assert moved.min() >= 0
    assert moved.max() <= 999
    assert (moved.diff() >= 0).all()
    assert ((moved >= timesteps) if shift >= 1 else (moved <= timesteps)).all()


def test_a_shift_of_four_puts_half_of_the_timesteps_into_the_noisiest_fifth(cache):
    assert torch.equal(shift_timesteps(torch.arange(1000), 1.0), torch.arange(1000))
    assert (shift_timesteps(torch.arange(1000), 4.0) >= 800).sum() == 500
    plain, late = made(cache), made(cache, timestep_shift=4.0)
    for n in range(50):
        assert late[n].timestep == shift_timesteps(plain[n].timestep, 4.0)
        assert torch.equal(late[n].noise, plain[n].noise)


def test_samples_travel_to_loading_processes(cache):
    samples = made(cache)
    assert torch.equal(pickle.loads(pickle.dumps(samples))[3].noise, samples[3].noise)


def test_another_seed_draws_other_noise(cache):
    assert not torch.equal(made(cache, seed=0)[0].noise, made(cache, seed=1)[0].noise)


def test_every_epoch_visits_every_pair_once_in_another_order(cache):
    samples = made(cache)
    epochs = [[samples.order(e)[k].item() for k in range(len(PAIRS))] for e in range(6)]
    assert all(sorted(epoch) == [0, 1, 2, 3, 4] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_conditions_come_from_the_source_and_pose_and_target_from_the_target(cache):
    samples = made(cache, source_noise=0.0)
    for n in range(5):
        source, target = (STEMS[k] for k in PAIRS[samples.order(0)[n]].tolist())
        sample = samples[n]
        assert torch.equal(sample.pose, cache.read(target, "pose")[0])
        for name in ("texture", "face", "source"):
            assert torch.equal(getattr(sample, name), cache.read(source, name)[0])
        for name, stem in (("latents", target), ("texture_latents", source)):
            mean, _ = cache.read(stem, name)[0]
            drawn = sample.target if name == "latents" else sample.reference_latents
            assert 0 < (drawn - mean).abs().max() < 0.5


def test_the_reference_may_be_the_source_photo(cache):
    settings = TrainSettings(drop_rate=0.0)
    samples = TrainingSamples(cache, STEMS, PAIRS, STD, settings, reference_input="source")
    for n in range(5):
        source = STEMS[PAIRS[samples.order(0)[n]][0]]
        mean, _ = cache.read(source, "latents")[0]
        assert (samples[n].reference_latents - mean).abs().max() < 0.5


@pytest.fixture(scope="module")
def people(dataset: DatasetLayout, tmp_path_factory) -> tuple[MCLDPipeline, TrainingSamples]:
    """A tiny pipeline with a textured guider, and what it sees of the mannequins that train."""
    folder = tmp_path_factory.mktemp("people")
    pipeline = new_pipeline(load_settings(None, TINY))
    stems = [name.removesuffix(".jpg") for name in dataset.names("train")]
    cache = EncodedCache(folder / "encoded", dataset, "train")
    fill_cache(cache, pipeline, stems, (64, 48), lambda _: None)
    maps = TextureMaps(folder / "maps", dataset, "train")
    maps.unpack(stems, lambda *_: None)
    pairs = torch.tensor([(0, 1), (4, 3), (2, 0), (5, 4)])
    options = TrainSettings(timestep_shift=4.0)
    std = cache.source_std(stems)
    return pipeline, TrainingSamples(cache, stems, pairs, std, options, warp=maps.warp)


def test_a_textured_guider_sees_the_texture_of_the_source_warped_onto_the_target(people):
    _, samples = people
    for n in range(4):
        sample = samples[n]
        source, target = (samples.stems[k] for k in samples.pairs[samples.order(0)[n]])
        texture = read_image(samples.cache.layout.texture("train", source))
        (pose,) = samples.cache.read(target, "pose")
        warped = warp_texture(pose.permute(1, 2, 0).numpy(), complete_texture(texture))
        assert torch.equal(sample.warped, torch.from_numpy(warped).permute(2, 0, 1))
        assert sample.warped.any()
        conditions = collate([sample]).conditions
        assert torch.equal(conditions.warped, sample.warped[None] / 255)
        assert torch.equal(conditions.pose, scale_iuv(pose[None]))


def test_of_the_share_in_patches_nothing_is_left_but_the_pose_and_the_rest_is_as_it_was(people):
    pipeline, samples = people
    patches = Patches(pipeline, (64, 48), 0.5)
    plain = collate([samples[n] for n in range(64)])
    augmented = plain.augment(patches, seed=0)
    assert augmented.numbers == plain.numbers
    assert augmented.dropped == plain.dropped
    moved = (augmented["target"] != plain["target"]).flatten(1).any(dim=1)
    assert 16 < moved.sum() < 48
    for name, tensor in plain.tensors.items():
        assert torch.equal(augmented[name][~moved], tensor[~moved]), name
    for name in ("target", "reference_latents", "source", "texture", "warped"):
        changed = (augmented[name] != plain[name]).flatten(1).any(dim=1)
        assert torch.equal(changed, moved), name
    assert torch.equal(augmented["pose"], plain["pose"])
    assert torch.equal(augmented["noise"], plain["noise"])
    assert not augmented["face"][moved].any()
    assert not augmented["warped"][moved].any()  # it would be their picture
    # In the noisier half, after the shift
    assert torch.equal(augmented["timestep"][moved], 500 + plain["timestep"][moved] // 2)


def test_who_wears_which_patches_depends_on_the_seed_and_the_sample_alone(people):
    pipeline, samples = people
    patches = Patches(pipeline, (64, 48), 0.5)

    def augmented(numbers: list[int], seed: int = 0) -> dict[int, dict[str, torch.Tensor]]:
        batch = collate([samples[n] for n in numbers]).augment(patches, seed)
        rows = enumerate(batch.numbers)
        return {n: {name: t[row] for name, t in batch.tensors.items()} for row, n in rows}

    together = augmented(list(range(8)))
    apart = augmented([7, 1, 4]) | augmented([0, 6, 2]) | augmented([3]) | augmented([5])
    for n, fields in together.items():
        for name, tensor in fields.items():
            torch.testing.assert_close(apart[n][name], tensor, atol=1e-5, rtol=1e-4, msg=name)
    other = augmented(list(range(8)), seed=1)
    assert any(not torch.equal(other[n]["target"], together[n]["target"]) for n in together)


def test_latents_are_drawn_with_their_standard_deviation(cache):
    samples = made(cache)
    away = [samples[5 * n].target for n in range(400)]
    by_stem = {s: [] for s in STEMS}
    for n, drawn in enumerate(away):
        by_stem[STEMS[PAIRS[samples.order(n)[0]][1]]].append(drawn)
    for stem, drawn in by_stem.items():
        mean, std = cache.read(stem, "latents")[0]
        found = torch.stack(drawn)
        assert abs(found.std(dim=0).mean() - std.mean()) < 0.02
        assert (found.mean(dim=0) - mean).abs().max() < 0.08


def test_source_noise_is_measured_in_standard_deviations(cache):
    jitters = torch.stack(
        [
            made(cache, source_noise=0.5)[n].source - made(cache, source_noise=0)[n].source
            for n in range(300)
        ]
    )
    assert abs(jitters.std() - 0.5) < 0.05


def test_conditions_drop_at_the_rate_asked_for(cache):
    samples = made(cache, drop_rate=0.25)
    dropped = sum(samples[n].dropped for n in range(2000)) / 2000
    assert abs(dropped - 0.25) < 0.04
    assert not any(made(cache, drop_rate=0.0)[n].dropped for n in range(200))


def test_timesteps_are_spread_over_all_of_them(cache):
    samples = made(cache)
    timesteps = torch.stack([samples[n].timestep for n in range(2000)]).float()
    assert timesteps.min() < 20
    assert timesteps.max() > 979
    assert abs(timesteps.mean() - 499.5) < 25


def test_the_noise_offset_moves_whole_channels(cache):
    with_offset, without = made(cache, noise_offset=0.5), made(cache, noise_offset=0.0)
    difference = with_offset[7].noise - without[7].noise
    assert difference.abs().max() > 0
    torch.testing.assert_close(difference, difference[:, :1, :1].expand_as(difference))


def test_dropped_samples_come_first_in_a_batch(cache):
    samples = [made(cache, drop_rate=0.5)[n] for n in range(16)]
    batch = collate(samples)
    assert 0 < batch.dropped < 16
    kept = [s for s in samples if not s.dropped]
    assert torch.equal(batch["noise"][batch.dropped :], torch.stack([s.noise for s in kept]))
    assert torch.equal(batch.conditions.pose[batch.dropped], scale_iuv(kept[0].pose[None])[0])


@given(
    first=st.integers(0, 50),
    last=st.integers(0, 300),
    batch_size=st.integers(1, 9),
    processes=st.integers(1, 4),
    accumulation=st.integers(1, 3),
)
def test_processes_and_accumulation_share_out_the_very_samples_one_would_see(
    first, last, batch_size, processes, accumulation
):
    total = batch_size * processes * accumulation
    alone = list(BatchSampler(first, last, total, 0, 1))
    shared = [
        list(BatchSampler(first, last, batch_size, r, processes, accumulation))
        for r in range(processes)
    ]
    assert all(
        len(BatchSampler(first, last, batch_size, 0, processes, accumulation)) == len(s)
        for s in shared
    )
    parts = [list(chain(*together)) for together in zip(*shared, strict=True)]
    joined = [list(chain(*parts[k : k + accumulation])) for k in range(0, len(parts), accumulation)]
    assert joined == alone
    assert len(BatchSampler(first, last, total, 0, 1)) == len(alone)
    assert list(chain(*alone)) == list(range(first, first + total * len(alone)))
