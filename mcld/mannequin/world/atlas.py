"""A dressed person's whole skin: the painted charts of all parts."""

from functools import lru_cache

import numpy as np

from mcld.body.shape import FloatArray
from mcld.mannequin.world.canvas import ATLAS_SIZE
from mcld.mannequin.world.clothes import Clothes, paint_bottom, paint_shoes, paint_top
from mcld.mannequin.world.face import Face, paint_head, paint_long_hair


@lru_cache(maxsize=2)
def paint(looks: Face, wear: Clothes) -> FloatArray:
    """The painted charts: float32 [24,ATLAS_SIZE,ATLAS_SIZE,3] RGB in 0..1.

    Index k is part label k + 1; rows are t (along the limb), columns s (around it).
    """
    charts = np.full((24, ATLAS_SIZE, ATLAS_SIZE, 3), looks.skin, np.float32)
    paint_bottom(charts, wear)
    paint_top(charts, wear)
    paint_shoes(charts, wear)
    paint_head(charts, looks)
    paint_long_hair(charts, looks)
    charts.flags.writeable = False
    return charts
