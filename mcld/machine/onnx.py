"""Networks in ONNX files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mcld.errors import MCLDError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_session(
    model: bytes | Path, threads: int = 1, weights: Mapping[str, NDArray[np.float32]] | None = None
) -> InferenceSession:
    """Open a network on the CPU, which says nothing but errors.

    model: the file, or its content. threads: that it works in, one since several processes may work
    at once; 0: as many as there are cores. weights: by name, of a network that holds none.

    Raises MCLDError when ONNX Runtime does not work here, and its own errors for what is no
    network, or lacks weights.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MCLDError(f"onnxruntime is installed but does not work here: {error}") from error

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS
    options.intra_op_num_threads = threads
    if weights:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(w) for w in weights.values()]
        options.add_external_initializers(list(weights), values)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


_ERRORS = 3
"""ONNX Runtime's level of what it says."""
