"""Networks that come with mcld as ONNX files."""

from __future__ import annotations

from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

from mcld.errors import MCLDError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_session(file: Traversable) -> InferenceSession:
    """Open a network of the package on one core of the CPU.

    Raises MCLDError when it does not work here.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MCLDError(f"onnxruntime is installed but does not work here: {error}") from error

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # several processes may work at once
    return onnxruntime.InferenceSession(
        file.read_bytes(), options, providers=["CPUExecutionProvider"]
    )
