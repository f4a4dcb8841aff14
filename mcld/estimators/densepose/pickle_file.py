"""Arrays in a pickle, as detectron2's model zoo has them, read without running code from it.

A pickle is a program: reading one the usual way may do anything. Here nothing that it names is
called. What its arrays are made with is replaced by stand-ins, which only note shapes, types and
bytes; anything else is refused, and so is what would fill the memory.
"""

from __future__ import annotations

import math
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mcld.errors import WeightsError
from mcld.machine.file_kind import describe_content

_MOST_STEPS = 200_000
"""Of the pickle's program; DensePose's takes about 20,000."""
_TYPES = ("f2", "f4", "i8")


def read_pickle(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of {"model": {name: array}, ...}, each of float16, float32 or int64.

    Raises WeightsError when the file is missing, damaged, no such pickle, or would run code.
    """
    try:
        with path.open("rb") as file:
            _check_steps(file)
            file.seek(0)
            content = _ArrayUnpickler(file, encoding="latin1").load()
    except WeightsError as error:
        raise WeightsError(f"{path} {error}") from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged program may fail in any way
        what = describe_content(path) or "is no pickle of weights, or damaged or cut short"
        raise WeightsError(f"{path} {what}") from error
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict):
        raise WeightsError(f"{path} holds no `model`, as detectron2's weights do")
    if content.get("matching_heuristics"):
        raise WeightsError(
            f"{path} has no names of its own (matching_heuristics): give the published"
            " model_final_844d15.pkl"
        )
    others = [name for name, array in model.items() if not isinstance(array, _Array)]
    if others or not all(isinstance(name, str) for name in model):
        raise WeightsError(f"{path} holds something else than arrays by name")
    try:
        return {name: array.build() for name, array in model.items()}
    except (ValueError, MemoryError) as error:
        raise WeightsError(f"{path} is damaged: {error}") from error


def _check_steps(file: BinaryIO) -> None:
    """Raise WeightsError for a program that could fill the memory, ValueError for a damaged one.

    C's unpickler makes room for as many memos as the highest number that is asked for.
    """
    for count, (step, value, _) in enumerate(pickletools.genops(file)):
        memo = value if step.name in ("PUT", "LONG_BINPUT") else 0
        if count > _MOST_STEPS or not 0 <= memo <= _MOST_STEPS:  # type: ignore[operator]
            raise WeightsError("is refused: it is not made like a file of weights")


class _Type:
    """Stands for numpy.dtype."""

    def __init__(self, name: str, *_: Any) -> None:
        if name not in _TYPES:
            raise WeightsError(f"is refused: it holds arrays of type {name!r:.40}, not of numbers")
        self.name, self.order = name, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", ">"):
            raise ValueError("byte order")
        self.order = state[1]


class _Array:
    """Stands for numpy.ndarray: what an array is to be made of."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, data = state
        self.set(data, kind, shape, "F" if fortran else "C")

    def set(self, data: Any, kind: Any, shape: Any, order: Any) -> None:
        """Note what the array is; a pickle of Python 2 has its bytes as text."""
        data = data.encode("latin1") if isinstance(data, str) else data
        plain = isinstance(data, bytes | bytearray) and isinstance(kind, _Type)
        if (
            not plain
            or order not in ("C", "F")
            or not all(type(n) is int and n >= 0 for n in shape)
        ):
            raise ValueError("no plain array")
        self.data, self.kind, self.shape, self.order = data, kind, tuple(shape), order

    def build(self) -> NDArray[Any]:
        """The array. Raises ValueError when its bytes are not as many as its shape needs."""
        if not hasattr(self, "data"):
            raise ValueError("an array has no values")
        flat = np.frombuffer(self.data, np.dtype(self.kind.order + self.kind.name))
        if flat.size != math.prod(self.shape):
            raise ValueError(f"an array of shape {list(self.shape)} has {flat.size} values")
        native = flat.astype(flat.dtype.newbyteorder("="))  # and writable, as PyTorch wants it
        return native.reshape(self.shape, order=self.order)


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.set(data, kind, shape, order)
    return array


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError("encoding")
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): _reconstruct,  # only ever handed to the next
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            stand_in = _STAND_INS[module, name]
        except KeyError as error:
            raise WeightsError(
                f"is refused: it asks for {f'{module}.{name}':.80}, which could run code; weights"
                " are arrays alone"
            ) from error

        # A new one each time: the program may write attributes on it.
        return OrderedDict if stand_in is OrderedDict else lambda *values: stand_in(*values)
