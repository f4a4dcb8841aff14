"""What training sees, picture by picture: a function of the seed and of how many came before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mcld.conditions import FocalConditions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcld.settings import TrainSettings
    from mcld.train.encode import EncodedPictures

TIMESTEPS = 1000


@dataclass(frozen=True)
class Sample:
    """One training sample: a pair, and everything that is drawn at random for it."""

    target: Tensor
    """[C, h, w] latents to be predicted from noise."""
    noise: Tensor
    """[C, h, w]."""
    timestep: Tensor
    """Scalar, 0..999."""
    part_labels: Tensor
    """[H, W] uint8 labels of the target's IUV map."""
    conditions: FocalConditions
    """Of a batch of one."""
    dropped: bool
    """Whether the conditions are dropped, all but the pose."""


@dataclass(frozen=True)
class Batch:
    """B samples, those whose conditions are dropped first; fields as in Sample, batch first."""

    target: Tensor
    noise: Tensor
    timesteps: Tensor
    part_labels: Tensor
    conditions: FocalConditions
    dropped: int

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(
            self.target.to(device),
            self.noise.to(device),
            self.timesteps.to(device),
            self.part_labels.to(device),
            self.conditions.to(device),
            self.dropped,
        )


class TrainingSamples(Dataset[Sample]):
    """Sample n of a run, n = 0, 1, ... counting the pictures seen.

    Each depends on (seed, n) alone: resuming, batching and the number of processes change nothing.
    Every epoch visits every pair once, in an order of its own.

    Args:
        encoded: the pictures.
        pairs: [P, 2] rows of `encoded`: source, target.
        settings: noise offset, source noise, drop rate, seed.
    """

    def __init__(self, encoded: EncodedPictures, pairs: Tensor, settings: TrainSettings) -> None:
        self.encoded = encoded
        self.pairs = pairs
        self.settings = settings
        self.source_std = encoded.source.std(dim=0)
        self.shuffled: tuple[int, Tensor] | None = None

    def order(self, epoch: int) -> Tensor:
        """The rows of `pairs` in the order in which `epoch` visits them, int64 [P]."""
        if self.shuffled is None or self.shuffled[0] != epoch:
            order = torch.randperm(len(self.pairs), generator=self._generator(0, epoch))
            self.shuffled = epoch, order
        return self.shuffled[1]

    def _generator(self, stream: int, number: int) -> torch.Generator:
        words = np.random.SeedSequence([self.settings.seed, stream, number]).generate_state(2)
        return torch.Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)

    def __getitem__(self, n: int) -> Sample:
        """Sample number n, on the CPU."""
        epoch, place = divmod(n, len(self.pairs))
        source, target = self.pairs[self.order(epoch)[place]].tolist()
        g, settings, encoded = self._generator(1, n), self.settings, self.encoded
        latents = encoded.latents[target]
        noise = torch.randn(latents.shape, generator=g)
        noise += settings.noise_offset * torch.randn(len(latents), 1, 1, generator=g)
        jitter = torch.randn(self.source_std.shape, generator=g)
        pose = encoded.pose[target]
        return Sample(
            target=latents,
            noise=noise,
            timestep=torch.randint(TIMESTEPS, (), generator=g),
            part_labels=pose[2],
            conditions=FocalConditions(
                source=(encoded.source[source] + settings.source_noise * self.source_std * jitter)[
                    None
                ],
                texture=encoded.texture[source][None],
                texture_latents=encoded.texture_latents[source][None],
                face=encoded.face[source][None],
                pose=pose[None].float() / 255,
            ),
            dropped=bool(torch.rand((), generator=g) < settings.drop_rate),
        )


def collate(samples: list[Sample]) -> Batch:
    """Stack samples, those with dropped conditions first: the order the network expects."""
    samples = sorted(samples, key=lambda sample: not sample.dropped)
    return Batch(
        target=torch.stack([s.target for s in samples]),
        noise=torch.stack([s.noise for s in samples]),
        timesteps=torch.stack([s.timestep for s in samples]),
        part_labels=torch.stack([s.part_labels for s in samples]),
        conditions=FocalConditions.cat([s.conditions for s in samples]),
        dropped=sum(s.dropped for s in samples),
    )


@dataclass(frozen=True)
class BatchSampler:
    """The sample numbers of one process, batch by batch: a slice of every total batch."""

    first: int
    """Pictures seen before."""
    last: int
    """Pictures to see in the end; a last total batch that would pass it is left out."""
    batch_size: int
    rank: int
    processes: int

    def __iter__(self) -> Iterator[list[int]]:
        total = self.batch_size * self.processes
        for start in range(self.first, self.last - total + 1, total):
            mine = start + self.rank * self.batch_size
            yield list(range(mine, mine + self.batch_size))

    def __len__(self) -> int:
        return max(0, self.last - self.first) // (self.batch_size * self.processes)
