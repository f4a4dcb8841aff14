"""What training sees, picture by picture: a function of the seed and of how many came before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mcld.conditions import FocalConditions, scale_iuv
from mcld.pipeline import TIMESTEPS
from mcld.settings import TrainSettings
from mcld.train.cache import EncodedCache

ORDER, DRAWS, AUGMENTATION = range(3)
"""Streams of random numbers: of an epoch's order, of a sample, of what augments it."""

Augment = Callable[[dict[str, Tensor], list[torch.Generator]], dict[str, Tensor]]
"""Changes some samples of a batch: given its fields and a generator of each sample."""


@dataclass(frozen=True)
class Sample:
    """One training sample: a pair, and everything that is drawn at random for it."""

    number: int
    """Pictures seen before it."""
    target: Tensor
    """[C, h, w] latents to be predicted from noise."""
    noise: Tensor
    """[C, h, w]."""
    timestep: Tensor
    """Scalar, 0..999."""
    source: Tensor
    """[1, D] embedding of the source photo, with noise."""
    texture: Tensor
    """[1, D] embedding of the texture map."""
    reference_latents: Tensor
    """[C, h, w] latents of what ReferenceNet sees."""
    face: Tensor
    """[512]."""
    pose: Tensor
    """[3, H, W] uint8 IUV map of the target, (I, U, V)."""
    dropped: bool
    """Whether the conditions are dropped, all but `pose`."""
    warped: Tensor | None = None
    """[3, H, W] uint8 RGB, what a textured pose guider sees of the source in the pose."""
    shown: Tensor | None = None
    """[H, W] bool, what of the pose the source's texture map shows; for `train.correspondence`."""


@dataclass(frozen=True)
class Batch:
    """B samples, those whose conditions are dropped first."""

    numbers: list[int]
    """Of the samples."""
    tensors: dict[str, Tensor]
    """The fields of Sample that are tensors, batch first."""
    dropped: int
    """How many samples lose their conditions."""

    def __getitem__(self, name: str) -> Tensor:
        """A field of Sample, batch first."""
        return self.tensors[name]

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        # Of memory that is not pinned, a copy that nobody waits for goes wrong on Apple's GPUs:
        # https://github.com/pytorch/pytorch/issues/189690
        moved = {n: t.to(device, non_blocking=t.is_pinned()) for n, t in self.tensors.items()}
        return Batch(self.numbers, moved, self.dropped)

    def pin_memory(self) -> Batch:
        """The same batch in memory from which it moves to a GPU while others are computed."""
        pinned = {name: t.pin_memory() for name, t in self.tensors.items()}
        return Batch(self.numbers, pinned, self.dropped)

    def augment(self, augment: Augment, seed: int) -> Batch:
        """The same batch with some of its samples changed; seed: of training."""
        generators = [make_generator(seed, AUGMENTATION, number) for number in self.numbers]
        return Batch(self.numbers, augment(self.tensors, generators), self.dropped)

    @property
    def conditions(self) -> FocalConditions:
        """Of all B samples."""
        names = ("source", "texture", "reference_latents", "face")
        warped = self.tensors.get("warped")
        return FocalConditions(
            **{n: self[n] for n in names},
            pose=scale_iuv(self["pose"]),
            warped=None if warped is None else warped.float() / 255,
        )


def make_generator(seed: int, stream: int, number: int) -> torch.Generator:
    """Random numbers that depend on these three alone."""
    words = np.random.SeedSequence([seed, stream, number]).generate_state(2)
    return torch.Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)


class TrainingSamples(Dataset[Sample]):
    """Sample n of a run, n = 0, 1, ... counting the pictures seen.

    Each depends on (seed, n) alone: resuming, batching and the number of processes change nothing.
    Every epoch visits every pair once, in an order of its own.

    Args:
        cache: the encoded pictures.
        stems: of the pictures.
        pairs: int64 [P, 2] rows of `stems`: source, target.
        source_std: [1, D] standard deviation of source embeddings over the dataset.
        settings: noise offset, source noise, drop rate, timestep shift, seed.
        reference_input: what ReferenceNet sees, "texture" or "source".
        warp: (source's stem, target's pose) -> `Sample.warped`; None where nobody looks at it.
        find_shown: likewise, -> `Sample.shown`.
    """

    def __init__(
        self,
        cache: EncodedCache,
        stems: list[str],
        pairs: Tensor,
        source_std: Tensor,
        settings: TrainSettings,
        reference_input: str = "texture",
        warp: Callable[[str, Tensor], Tensor] | None = None,
        find_shown: Callable[[str, Tensor], Tensor] | None = None,
    ) -> None:
        self.cache = cache
        self.stems = stems
        self.pairs = pairs
        self.source_std = source_std
        self.settings = settings
        self.reference = {"texture": "texture_latents", "source": "latents"}[reference_input]
        self.warp = warp
        self.find_shown = find_shown
        self.shuffled: tuple[int, Tensor] | None = None

    def order(self, epoch: int) -> Tensor:
        """The rows of `pairs` in the order in which `epoch` visits them, int64 [P]."""
        if self.shuffled is None or self.shuffled[0] != epoch:
            generator = make_generator(self.settings.seed, ORDER, epoch)
            self.shuffled = epoch, torch.randperm(len(self.pairs), generator=generator)
        return self.shuffled[1]

    def pair(self, n: int) -> tuple[str, str]:
        """The stems of sample number n: source, target."""
        epoch, place = divmod(n, len(self.pairs))
        source, target = self.pairs[self.order(epoch)[place]].tolist()
        return self.stems[source], self.stems[target]

    def __getitem__(self, n: int) -> Sample:
        """Sample number n, on the CPU. Raises InputError when the cache is damaged."""
        source, target = self.pair(n)
        latents, pose = self.cache.read(target, "latents", "pose")
        reference_latents, embedding, texture, face = self.cache.read(
            source, self.reference, "source", "texture", "face"
        )
        g, settings = make_generator(self.settings.seed, DRAWS, n), self.settings
        noise = torch.randn(latents[0].shape, generator=g)
        noise += settings.noise_offset * torch.randn(len(noise), 1, 1, generator=g)
        jitter = settings.source_noise * torch.randn(self.source_std.shape, generator=g)
        return Sample(
            number=n,
            target=_draw_latents(latents, g),
            noise=noise,
            timestep=shift_timesteps(
                torch.randint(TIMESTEPS, (), generator=g), settings.timestep_shift
            ),
            source=embedding + self.source_std * jitter,
            texture=texture,
            reference_latents=_draw_latents(reference_latents, g),
            face=face,
            pose=pose,
            dropped=bool(torch.rand((), generator=g) < settings.drop_rate),
            warped=None if self.warp is None else self.warp(source, pose),
            shown=None if self.find_shown is None else self.find_shown(source, pose),
        )


def shift_timesteps(timesteps: Tensor, shift: float) -> Tensor:
    """Timesteps moved towards the noisy end (shift above 1) or the clean one (below 1).

    t -> s t / (1 + (s - 1) t), the map of Esser et al. (2403.03206, equation 23), applied to the
    middle of a timestep on a scale of 0 to 1.

    Args:
        timesteps: int64, 0..999.
        shift: s, 0.01 to 100; 1 changes nothing.

    Returns:
        int64, 0..999, of the same shape.
    """
    t = (timesteps.double() + 0.5) / TIMESTEPS
    return (TIMESTEPS * shift * t / (1 + (shift - 1) * t)).long().clamp(max=TIMESTEPS - 1)


def _draw_latents(moments: Tensor, generator: torch.Generator) -> Tensor:
    """Latents [C, h, w] drawn from their moments [2, C, h, w], as the authors draw both."""
    mean, std = moments
    latents: Tensor = mean + std * torch.randn(mean.shape, generator=generator)
    return latents


def collate(samples: list[Sample]) -> Batch:
    """Stack samples, those with dropped conditions first: the order the network expects."""
    samples = sorted(samples, key=lambda sample: not sample.dropped)
    names = [f.name for f in fields(Sample) if torch.is_tensor(getattr(samples[0], f.name))]
    return Batch(
        [sample.number for sample in samples],
        {name: torch.stack([getattr(s, name) for s in samples]) for name in names},
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
    accumulation: int = 1
    """Batches of every process in a total batch."""

    def __iter__(self) -> Iterator[list[int]]:
        together = self.batch_size * self.processes
        total = together * self.accumulation
        for start in range(self.first, self.last - total + 1, total):
            for part in range(self.accumulation):
                mine = start + part * together + self.rank * self.batch_size
                yield list(range(mine, mine + self.batch_size))

    def __len__(self) -> int:
        total = self.batch_size * self.processes * self.accumulation
        return max(0, self.last - self.first) // total * self.accumulation
