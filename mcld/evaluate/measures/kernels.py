"""KID and CMMD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcld.evaluate.measures.encoders import CLIP_TEXT, ClipFeatures
from mcld.evaluate.measures.frechet import InceptionFeatures
from mcld.evaluate.metric import Column, Numbers, SetMetric
from mcld.evaluate.protocol import Protocol

if TYPE_CHECKING:
    from mcld.evaluate.features import FeatureSet

SUBSETS, SUBSET_SIZE = 100, 1000
"""Of KID: random subsets, and pictures in each, as its makers report it."""


class KID(SetMetric):
    """The kernel Inception distance (Binkowski et al., 2018)."""

    name = "kid"
    columns = (Column("kid", "KID", -1, 5, per_picture=False),)
    text = (
        "unbiased squared maximum mean discrepancy of FID's features, kernel (a b / 2048 + 1)^3,"
        " the mean over {0} subsets of {1} pictures; of all {2} pictures against the generated ones"
    )
    features = InceptionFeatures
    needs_rows = True
    knobs = ("real",)

    @classmethod
    def describe(cls, protocol: Protocol) -> str:
        """With which real pictures."""
        return cls.text.format(SUBSETS, SUBSET_SIZE, protocol.real_name)

    def compare(self, generated: FeatureSet, real: FeatureSet) -> Numbers:
        """Can be a little below 0."""
        import torch

        from mcld.evaluate.mmd import compute_kid

        return {"kid": compute_kid(torch.from_numpy(real.rows), torch.from_numpy(generated.rows))}

    @classmethod
    def list_notes(cls, generated: int, real: int, protocol: Protocol) -> list[str]:  # noqa: ARG003
        """Whether a subset is smaller than its makers'."""
        if (fewest := min(generated, real)) >= SUBSET_SIZE:
            return []
        return [f"KID is of subsets of {fewest:,} pictures: there are no {SUBSET_SIZE:,}"]


class CMMD(SetMetric):
    """The CLIP maximum mean discrepancy (Jayasumana et al., 2024)."""

    name = "cmmd"
    columns = (Column("cmmd", "CMMD", -1, 3, per_picture=False),)
    text = (
        "1000 times the biased squared maximum mean discrepancy, Gaussian kernel of sigma 10, of"
        f" {CLIP_TEXT} (google-research/cmmd cuts the middle square out first); of all {{0}}"
        " pictures against the generated ones"
    )
    features = ClipFeatures
    needs_rows = True
    knobs = ("real",)
    packages = ("transformers",)

    @classmethod
    def describe(cls, protocol: Protocol) -> str:
        """With which real pictures."""
        return cls.text.format(protocol.real_name)

    def compare(self, generated: FeatureSet, real: FeatureSet) -> Numbers:
        """0 for equal sets."""
        import torch

        from mcld.evaluate.mmd import compute_cmmd

        rows = (torch.from_numpy(some.rows) for some in (real, generated))
        return {"cmmd": compute_cmmd(*rows)}
