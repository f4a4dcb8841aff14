"""What training sees is a function of the seed and of how many pictures came before."""

import pickle
from itertools import chain

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mcld.settings import TrainSettings
from mcld.train.encode import EncodedPictures
from mcld.train.samples import BatchSampler, TrainingSamples, collate

PAIRS = torch.tensor([(0, 1), (1, 0), (2, 3), (3, 2), (0, 0)])


@pytest.fixture(scope="module")
def encoded() -> EncodedPictures:
    g = torch.Generator().manual_seed(0)
    return EncodedPictures(
        latents=torch.randn(4, 2, 3, 3, generator=g),
        texture_latents=torch.randn(4, 2, 3, 3, generator=g),
        source=torch.randn(4, 1, 5, generator=g),
        texture=torch.randn(4, 1, 5, generator=g),
        face=torch.randn(4, 512, generator=g),
        pose=torch.randint(0, 25, (4, 3, 24, 24), generator=g, dtype=torch.uint8),
    )


def made(encoded: EncodedPictures, **settings) -> TrainingSamples:
    return TrainingSamples(encoded, PAIRS, TrainSettings(**settings))


def test_a_sample_is_the_same_whenever_it_is_asked_for(encoded):
    first, second = made(encoded), made(encoded)
    for n in (0, 3, 17, 1_000_003):
        second[n + 1]  # what was asked before does not matter
        a, b = first[n], second[n]
        assert torch.equal(a.noise, b.noise)
        assert torch.equal(a.target, b.target)
        assert a.timestep == b.timestep
        assert torch.equal(a.conditions.source, b.conditions.source)


def test_samples_travel_to_loading_processes(encoded):
    samples = made(encoded)
    assert torch.equal(pickle.loads(pickle.dumps(samples))[3].noise, samples[3].noise)


def test_another_seed_draws_other_noise(encoded):
    assert not torch.equal(made(encoded, seed=0)[0].noise, made(encoded, seed=1)[0].noise)


def test_every_epoch_visits_every_pair_once_in_another_order(encoded):
    samples = made(encoded)
    epochs = [[samples.order(e)[k].item() for k in range(len(PAIRS))] for e in range(6)]
    assert all(sorted(epoch) == [0, 1, 2, 3, 4] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_conditions_come_from_the_source_and_pose_and_target_from_the_target(encoded):
    samples = made(encoded, source_noise=0.0)
    for n in range(5):
        source, target = PAIRS[samples.order(0)[n]].tolist()
        sample = samples[n]
        assert torch.equal(sample.target, encoded.latents[target])
        assert torch.equal(sample.part_labels, encoded.pose[target, 2])
        assert torch.equal(sample.conditions.pose[0], encoded.pose[target] / 255)
        for name in ("texture", "texture_latents", "face", "source"):
            assert torch.equal(getattr(sample.conditions, name)[0], getattr(encoded, name)[source])


def test_conditions_drop_at_the_rate_asked_for(encoded):
    samples = made(encoded, drop_rate=0.25)
    dropped = sum(samples[n].dropped for n in range(2000)) / 2000
    assert abs(dropped - 0.25) < 0.04
    assert not any(made(encoded, drop_rate=0.0)[n].dropped for n in range(200))


def test_timesteps_are_spread_over_all_of_them(encoded):
    samples = made(encoded)
    timesteps = torch.stack([samples[n].timestep for n in range(2000)]).float()
    assert timesteps.min() < 20
    assert timesteps.max() > 979
    assert abs(timesteps.mean() - 499.5) < 25


def test_the_noise_offset_moves_whole_channels(encoded):
    with_offset, without = made(encoded, noise_offset=0.5), made(encoded, noise_offset=0.0)
    difference = with_offset[7].noise - without[7].noise
    assert difference.abs().max() > 0
    torch.testing.assert_close(difference, difference[:, :1, :1].expand_as(difference))


def test_dropped_samples_come_first_in_a_batch(encoded):
    samples = [made(encoded, drop_rate=0.5)[n] for n in range(16)]
    batch = collate(samples)
    assert 0 < batch.dropped < 16
    kept = [s for s in samples if not s.dropped]
    assert torch.equal(batch.noise[batch.dropped :], torch.stack([s.noise for s in kept]))
    assert torch.equal(batch.conditions.pose[batch.dropped], kept[0].conditions.pose[0])


@given(
    first=st.integers(0, 50),
    last=st.integers(0, 300),
    batch_size=st.integers(1, 9),
    processes=st.integers(1, 4),
)
def test_processes_share_out_the_very_samples_one_would_see(first, last, batch_size, processes):
    total = batch_size * processes
    alone = list(BatchSampler(first, last, total, 0, 1))
    shared = [list(BatchSampler(first, last, batch_size, r, processes)) for r in range(processes)]
    assert [list(chain(*together)) for together in zip(*shared, strict=True)] == alone
    assert len(BatchSampler(first, last, total, 0, 1)) == len(alone)
    assert list(chain(*alone)) == list(range(first, first + total * len(alone)))
