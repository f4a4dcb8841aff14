"""All metrics, in the order of the table."""

from collections.abc import Sequence

from mcld.errors import SettingsError
from mcld.evaluate.measures.encoders import ClipSimilarity, DinoSimilarity
from mcld.evaluate.measures.faces import Face, FaceToSource
from mcld.evaluate.measures.frechet import FID, FDDinov2
from mcld.evaluate.measures.kernels import CMMD, KID
from mcld.evaluate.measures.perceptual import PerceptualDistance, PerceptualDistanceVGG
from mcld.evaluate.measures.pixels import PSNR, SSIM, SSIM256
from mcld.evaluate.measures.pose import Keypoints, PoseError
from mcld.evaluate.measures.regions import RegionDistance, RegionSimilarity
from mcld.evaluate.measures.texture import TextureError
from mcld.evaluate.metric import Column, Metric

METRICS: dict[str, type[Metric]] = {
    metric.name: metric
    for metric in (
        PSNR,
        SSIM,
        SSIM256,
        PerceptualDistance,
        FID,
        Face,
        PerceptualDistanceVGG,
        DinoSimilarity,
        ClipSimilarity,
        KID,
        CMMD,
        FDDinov2,
        FaceToSource,
        PoseError,
        Keypoints,
        TextureError,
        RegionDistance,
        RegionSimilarity,
    )
}
"""What can be measured, by its name."""

COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("pairs", "Pairs scored", 0, 0, per_picture=False),
        *(column for metric in METRICS.values() for column in metric.columns),
    )
}
"""Every number that can be in a table, in its order."""


def list_wanted(names: Sequence[str]) -> list[str]:
    """The metrics of a setting, in the order of the table; "all" are all of them.

    Raises SettingsError for a name that is no metric's.
    """
    for name in names:
        if name != "all" and name not in METRICS:
            known = ",".join(METRICS)
            raise SettingsError(f"{name!r} is no metric; give all, or some of {known}")
    return [name for name in METRICS if name in names or "all" in names]
