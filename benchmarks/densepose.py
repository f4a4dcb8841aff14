"""Seconds that DensePose takes of a photo, part by part, and beside detectron2 where that is there.

Without the published weights they are random; that changes what is found, not what a part costs.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

PICTURES = Path(__file__).parents[1] / "tests" / "golden" / "densepose"


def measure(photos: list[Path], weights: Path | None, runs: int) -> Iterator[tuple[str, float]]:
    """Medians over `runs`, after one that does not count; no photos: the test's two of people."""
    from mcld.dataset.pictures import read_image

    photos = photos or [PICTURES / "mannequin.png", PICTURES / "photo.png"]
    with TemporaryDirectory() as folder:
        weights = weights or _write_random(Path(folder) / "densepose.safetensors")
        estimators = _open(weights)
    for photo in photos:
        image = read_image(photo)
        seconds: dict[str, list[float]] = {}
        people = 0
        for _ in range(runs + 1):
            for name, estimator in estimators.items():
                with _measure_parts(estimator, name) as parts:
                    start = time.perf_counter()
                    (pose,) = estimator.estimate([image])
                    whole = time.perf_counter() - start
                if parts:
                    parts["  resizing, choosing, laying out, s"] = whole - sum(parts.values())
                parts[f"{name}, s"] = whole
                for part, value in parts.items():
                    seconds.setdefault(part, []).append(value)
            people = pose.people if pose else 0
        height, width = image.shape[:2]
        place = f"{photo.name}, {width}x{height}"
        yield f"{place}: people", people
        for part, values in seconds.items():
            yield f"{place}: {part}", round(median(values[1:]), 3)
        if len(estimators) > 1:
            ours, theirs = (seconds[f"{name}, s"][1:] for name in estimators)
            ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
            yield f"{place}: densepose / detectron2", round(ratio, 3)


def _write_random(path: Path) -> Path:
    from mcld.machine.tensor_files import write_tensors
    from tests.golden.densepose.weights import make_weights

    write_tensors(path, make_weights(seed=1))
    return path


def _open(weights: Path) -> dict[str, Any]:
    import torch

    from mcld.estimators.densepose.estimator import DensePose

    device = "cuda" if torch.cuda.is_available() else "cpu"
    estimators: dict[str, Any] = {"densepose": DensePose(weights, device)}
    if importlib.util.find_spec("detectron2") and importlib.util.find_spec("densepose"):
        from mcld.estimators.detectron2 import Detectron2DensePose

        estimators["detectron2"] = Detectron2DensePose(weights, device)
    return estimators


@contextmanager
def _measure_parts(estimator: Any, name: str) -> Iterator[dict[str, float]]:
    """Seconds of each part of our network, by hooks on its modules."""
    import torch

    parts: dict[str, float] = {}
    if name != "densepose":
        yield parts
        return
    network, handles, started = estimator.network, [], {}

    def now() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()

    modules = {
        "ResNet": network.backbone.body,
        "FPN": network.backbone.fpn,
        "proposals": network.proposals,
        "pooling": network.box_head.pool,
        "box head": network.box_head,
        "decoder": network.dense_head.decoder,
        "dense head": network.dense_head,
    }
    for part, module in modules.items():

        def begin(*_: Any, part: str = part) -> None:
            started[part] = now()

        def end(*_: Any, part: str = part) -> None:
            parts[f"  {part}, s"] = now() - started[part]

        handles += [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]
    try:
        yield parts
    finally:
        for handle in handles:
            handle.remove()
