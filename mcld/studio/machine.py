"""What every page of this machine is offered: examples, poses, motions, networks, reports."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mcld import __version__
from mcld.body.parameters import (
    list_gallery,
    list_motions,
    locate_motion,
    read_gallery,
    read_motion,
)
from mcld.body.posing import HANDLES, list_bones
from mcld.edit.picture import draw_guide_layer
from mcld.edit.texture import GROUPS
from mcld.sampling.placement import SCHEDULERS
from mcld.sampling.record import SYNTHETIC
from mcld.studio.figure import View, draw
from mcld.studio.requests import PHOTOS, SEEDS
from mcld.studio.session import UPLOAD, RefusedError
from mcld.studio.work import Studio

EXAMPLES = Path(str(files("mcld.studio"))) / "examples"
"""Photos of generated people to try with."""
_PARTS = {"upper": "upper body", "lower": "legs"}
"""Parts that are not called as people call them."""
_SMALL = (256, 176)
"""Height and width of a pose's small picture, pixels."""
_SMALLER, _FRAMES = (192, 132), 12
"""Height and width of a motion's, and how many pictures it has."""


def describe_machine(studio: Studio, reports: list[Path]) -> dict[str, Any]:
    """All of it, with the addresses of pictures; reports: of `mcld evaluate`."""
    weights = studio.networks.weights.values()
    return {
        "version": __version__,
        "notice": SYNTHETIC,
        "weights": [{"id": one.id, "label": one.label, "note": one.note} for one in weights],
        "schedulers": list(SCHEDULERS),
        "examples": [
            {"id": name, "label": name, "url": f"/api/examples/{name}"} for name in list_examples()
        ],
        "poses": [
            {"id": name, "label": _label(name), "url": f"/api/poses/{name}"}
            for name in list_gallery()
        ],
        "motions": [_describe_motion(name) for name in list_motions()],
        "parts": [{"id": group, "label": _PARTS.get(group, group)} for group in GROUPS],
        "handles": [{"id": name, "label": label} for name, label in HANDLES.items()],
        "bones": list_bones(),
        "guide_url": "/api/guide",
        "reports": [
            {"label": str(path), "url": f"/api/reports/{k}"} for k, path in enumerate(reports)
        ],
        "limits": {"upload_bytes": UPLOAD, "seeds": SEEDS, "photos": PHOTOS},
    }


def list_examples() -> list[str]:
    """The names of the example people."""
    return sorted(file.stem for file in EXAMPLES.glob("*.jpg"))


def find_example(name: str) -> Path:
    """The photo of an example. Raises RefusedError for another name."""
    if name not in list_examples():
        raise RefusedError(f"there is no example {name}", 404)
    return EXAMPLES / f"{name}.jpg"


@lru_cache
def draw_pose(name: str) -> bytes:
    """A pose of the gallery, small, PNG. Raises InputError for another name."""
    buffer = BytesIO()
    Image.fromarray(draw(read_gallery(name), View(), size=_SMALL).picture).save(buffer, "PNG")
    return buffer.getvalue()


@lru_cache
def draw_motion(name: str) -> bytes:
    """A motion's small moving picture, WebP. Raises InputError for another name."""
    motion = read_motion(locate_motion(name))
    numbers = np.linspace(0, len(motion.bodies) - 1, _FRAMES).round().astype(int)
    drawn = [draw(motion.bodies[k], View(), size=_SMALLER).picture for k in numbers]
    first, *others = map(Image.fromarray, drawn)
    milliseconds = round(1000 * _describe_motion(name)["seconds"] / _FRAMES)
    buffer = BytesIO()
    first.save(buffer, "WEBP", save_all=True, append_images=others, duration=milliseconds, loop=0)
    return buffer.getvalue()


@lru_cache
def draw_guide() -> bytes:
    """The layer that shows where on a texture map which part lies, PNG, transparent."""
    buffer = BytesIO()
    draw_guide_layer().save(buffer, "PNG")
    return buffer.getvalue()


@lru_cache
def _describe_motion(name: str) -> dict[str, Any]:
    motion = read_motion(locate_motion(name))
    frames = len(motion.bodies)
    seconds = round(frames / (motion.fps or 25.0), 1)
    address = f"/api/motions/{name}"
    return {
        "id": name, "label": _label(name), "frames": frames, "seconds": seconds, "url": address
    }  # fmt: skip


def _label(name: str) -> str:
    return name.replace("-", " ")
