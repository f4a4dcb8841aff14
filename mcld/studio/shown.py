"""Pictures as a browser shows them."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mcld.machine.files import write_whole
from mcld.machine.provenance import Provenance

_LARGEST = 1280
"""Pixels along the longer side of what is shown."""
_QUALITY = 90


def write_jpeg(
    path: Path, picture: NDArray[np.uint8], provenance: Provenance | None = None
) -> None:
    """Write a picture, uint8 [H, W, 3] RGB, as a JPEG of at most 1280 pixels a side.

    provenance: of one that a network painted.
    """
    image = Image.fromarray(picture)
    image.thumbnail((_LARGEST, _LARGEST), Image.Resampling.LANCZOS)
    with write_whole(path) as temporary:
        xmp = provenance.make_xmp() if provenance else b""
        image.save(temporary, "JPEG", quality=_QUALITY, xmp=xmp)
        if provenance:
            provenance.sign(temporary, path.name)


def make_data_url(picture: NDArray[np.uint8]) -> str:
    """A picture, uint8 [H, W, 3] RGB, as a URL that holds it, a JPEG."""
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode()}"
