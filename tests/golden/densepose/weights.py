"""DensePose's weights, random but the same everywhere: made of a key, a shape and a seed alone.

Of the raw words of Philox, which numpy promises never to change; it promises that of none of its
distributions.
"""

import gzip
import json
import zlib
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent
_GAINS = {
    "shortcut": 1,
    "fpn_lateral2": 1,
    "fpn_lateral3": 2,
    "fpn_lateral4": 4,
    "fpn_lateral5": 16,
    "fpn_output2": 0.5,
    "fpn_output3": 1,
    "fpn_output4": 4,
    "fpn_output5": 8,
    "stem": 2 / 4096,
    "objectness": 1,
    "anchor_deltas": 0.05,
    "cls_score": 16,
    "bbox_pred": 1,
    "ann_index": 4,
    "index_uv": 8,
    "u_lowres": 0.12,
    "v_lowres": 0.12,
    "": 2,
}
"""Part of a key -> gain of its weights; the first that fits."""


def read_shapes() -> dict[str, list[int]]:
    """Key of the published weights -> shape."""
    return json.loads(gzip.decompress((FOLDER / "keys.json.gz").read_bytes()))


def make_weights(seed: int) -> dict[str, torch.Tensor]:
    """All of the network's weights, under detectron2's keys."""
    return {key: torch.from_numpy(_make(key, s, seed)) for key, s in read_shapes().items()}


def _make(key: str, shape: list[int], seed: int) -> np.ndarray:
    x = _draw(key, shape, seed)
    if key.endswith("running_mean"):
        x = 0.1 * x
    elif key.endswith("running_var"):
        x = 1 + 0.5 * x
    elif key.endswith("cls_score.bias"):
        x = 0.1 * x + np.array([-3.5, 3.5])
    elif key.endswith("bias"):
        x = 0.1 * x + 0.5 * key.endswith(("u_lowres.bias", "v_lowres.bias"))
    elif len(shape) == 1:
        x = (1 + 0.25 * x) * (0.2 if ".conv3." in key else 1)
    else:
        fan_in = 4 * shape[0] if "lowres" in key else int(np.prod(shape[1:]))
        gain = next(gain for part, gain in _GAINS.items() if part in key)
        x = x * (3 * gain / fan_in) ** 0.5
    return x.astype(np.float32)


def _draw(key: str, shape: list[int], seed: int) -> np.ndarray:
    """In (-1, 1); of weights, less the mean of each row."""
    count = int(np.prod(shape))
    words = np.random.Philox(key=(seed << 32) | zlib.crc32(key.encode())).random_raw(-(-count // 4))
    grid = words.astype("<u8").view("<u2")[:count].reshape(shape).astype(np.float64)
    if len(shape) == 1:
        return (grid - 32767.5) / 32768
    rows = tuple(range(1, len(shape)))
    return (grid - grid.sum(rows, keepdims=True) / (count // shape[0])) / 32768
