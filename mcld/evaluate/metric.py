"""What a metric is: one class, whose attributes tell all that must be known before it is loaded.

A module that defines one imports neither NumPy nor torch at its top: the command line reads names,
columns and descriptions of all metrics. What is heavy is imported in `load`, `measure` or
`compare`.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

from mcld.dataset.results import RESULT_SIZES
from mcld.evaluate.protocol import Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from mcld.evaluate.features import FeatureSet
    from mcld.evaluate.pairs import Batch, Pair, Pictures
    from mcld.settings import Settings

Numbers = dict[str, float]
"""Column -> number."""


@dataclass(frozen=True)
class Column:
    """One number of a table."""

    name: str
    """In files."""
    title: str
    """In tables."""
    better: int
    """1 where more is better, -1 where less is, 0 for a mere count."""
    digits: int
    per_picture: bool = True
    share: bool = False
    """Whether it cannot exceed 1, so that a published figure above 1 is one in percent."""


@dataclass(frozen=True)
class Tools:
    """What a metric is loaded with."""

    settings: Settings
    protocol: Protocol
    device: torch.device
    """Where networks run."""


_READERS = ("numpy", "pillow", "torch")
"""Packages that every number depends on: with others it is measured anew."""


class Loaded(ABC):
    """What needs files or packages that may be missing, and gives numbers of pictures."""

    name: ClassVar[str]
    knobs: ClassVar[tuple[str, ...]] = ()
    """The fields of the protocol that change its numbers, beside those that change pictures."""
    revision: ClassVar[int] = 1
    """Raised when its numbers change, so that those an earlier version kept are not taken."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Packages whose versions its numbers depend on, and which stand with them."""
    weights: Mapping[str, str]
    """The files its numbers depend on -> sha256; `load` fills it."""
    options: Mapping[str, Any]
    """The settings its numbers depend on; `load` fills it."""

    def __init__(self) -> None:
        self.weights, self.options = {}, {}

    def load(self, tools: Tools) -> None:  # noqa: B027 - most need nothing
        """Load what it needs. Raises MCLDError, with what to do, when something is missing."""

    def make_key(self, protocol: Protocol, *pictures: Mapping[str, Any]) -> str:
        """What its numbers depend on beside the pictures' files, 16 hex digits.

        pictures: the fields of the protocol that change the pictures it sees.
        """
        knobs = {name: getattr(protocol, name) for name in self.knobs} | dict(self.options)
        versions = {name: version(name) for name in (*_READERS, *self.packages)}
        return hash_content(
            [self.name, self.revision, knobs, dict(self.weights), versions, pictures]
        )


class Metric(Loaded):
    """Something that is measured of a folder of results; `--metrics` has its name."""

    columns: ClassVar[tuple[Column, ...]]
    """Every number it gives, in the order of the table."""
    text: ClassVar[str]
    """How its numbers are made, in words."""
    sizes: ClassVar[tuple[str, ...]] = tuple(RESULT_SIZES)
    """The folders it is measured at, of "256" and "512"."""

    @classmethod
    def describe(cls, protocol: Protocol) -> str:  # noqa: ARG003
        """How its numbers are made by a protocol, in words."""
        return cls.text


class SingleMetric(Metric):
    """Gives numbers of single pictures; its table shows their means."""

    needs: ClassVar[tuple[str, ...]] = ()
    """What it reads of a pair beside the generated and the true picture: the names of attributes of
    `Pair`, such as "source" or "target_iuv", which are then read in the threads. A pair that lacks
    one has no number, and it is told why."""

    def summarise(self, rows: Sequence[Numbers]) -> Numbers:  # noqa: ARG002
        """Numbers of all pictures beside the means; rows: those of each scored picture."""
        return {}


class PairMetric(SingleMetric):
    """One that is cheap: it is measured pair by pair, in several threads."""

    @abstractmethod
    def measure(self, pair: Pair) -> Numbers:
        """The numbers of a pair. Raises InputError, with the reason, when it has none."""


class BatchMetric(SingleMetric):
    """One whose network sees a batch of pairs at once, on the device."""

    @abstractmethod
    def measure(self, batch: Batch) -> list[Numbers]:
        """The numbers of each pair."""


class Features(Loaded):
    """A network whose features of many pictures set metrics compare; it sees a picture once."""

    width: ClassVar[int]
    """Numbers of a picture."""

    @abstractmethod
    def extract(self, pictures: Pictures) -> Tensor:
        """The features of a batch of pictures, float32 [B, width], finite, on any device.

        Raises WeightsError when they are not finite.
        """


class SetMetric(Metric):
    """Compares the features of all generated pictures with those of a set of real ones.

    Its weights are those of its network.
    """

    features: ClassVar[type[Features]]
    needs_rows: ClassVar[bool] = False
    """Whether it looks at the features of each real picture, not only at their sums; those of the
    generated ones are always there."""
    fewest: ClassVar[int] = 2
    """Pictures of either set below which it is left out."""

    @classmethod
    def list_notes(cls, generated: int, real: int, protocol: Protocol) -> list[str]:  # noqa: ARG003
        """What a reader must know of sets of so many pictures, in words."""
        return []

    @abstractmethod
    def compare(self, generated: FeatureSet, real: FeatureSet) -> Numbers:
        """The numbers of two sets of at least `fewest` pictures."""


def hash_content(content: object) -> str:
    """16 hex digits that tell contents apart, of what JSON can hold."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
