"""Arrays in a pickle, as detectron2's model zoo has them, read without running code from it.

A pickle is a program for a small stack machine, and may call any function that it names. This
machine knows only what arrays by name are made with, and calls nothing: what a program asks to call
is noted as the array that numpy would have made of it, and anything else is refused.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcld.errors import WeightsError
from mcld.machine.file_kind import describe_content

FETCH_AGAIN = "; to fetch it anew, remove it and run mcld weights download densepose"
_STEPS = 200_000
"""That a program may have; that of DensePose's weights has about 20,000."""
_LARGEST = 10**9
"""Bytes; the published weights have 0.34 of these."""
_DTYPES = ("f2", "f4", "i8")


@dataclass(eq=False)
class PickledArray:
    """An array that was not made yet: of float16, float32 or int64."""

    data: bytes | bytearray | str = b""
    dtype: str = ""
    """Such as "<f4"."""
    shape: tuple[int, ...] = (-1,)
    order: str = "C"

    def build(self) -> NDArray[Any]:
        """The array. Raises ValueError when its bytes are not as many as its shape needs."""
        # Python 2 had bytes as text.
        data = self.data.encode("latin1") if isinstance(self.data, str) else self.data
        flat = np.frombuffer(data, np.dtype(self.dtype))
        if flat.size != math.prod(self.shape):
            raise ValueError(f"an array of shape {list(self.shape)} has {flat.size} values")
        native = flat.astype(flat.dtype.newbyteorder("="))  # and writable, as PyTorch wants it
        return native.reshape(self.shape, order="F" if self.order == "F" else "C")


def _check_size(path: Path) -> None:
    """Raise WeightsError for a file that is read into memory only to be refused."""
    if path.stat().st_size > _LARGEST:
        raise WeightsError(f"it is larger than {_LARGEST // 10**9} GB")


def read_pickle(path: Path) -> dict[str, PickledArray]:
    """The arrays of {"model": {name: array}, ...}.

    Raises WeightsError when the file is missing, damaged, no such pickle, or would run code.
    """
    try:
        with path.open("rb") as file:
            _check_size(path)
            content = _Machine().run(file)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    except WeightsError as error:
        raise WeightsError(f"{path} is refused: {error}") from error
    except Exception as error:  # a damaged program may fail in any way
        what = describe_content(path) or "is no pickle of weights, or damaged or cut short"
        raise WeightsError(f"{path} {what}{FETCH_AGAIN}") from error
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict):
        raise WeightsError(f"{path} holds no `model`, as detectron2's weights do")
    if content.get("matching_heuristics"):
        raise WeightsError(
            f"{path} has no names of its own (matching_heuristics): give the published"
            " model_final_844d15.pkl"
        )
    if not all(isinstance(array, PickledArray) for array in model.values()):
        raise WeightsError(f"{path} holds something else than arrays by name")
    return model


@dataclass(eq=False)
class _DType:
    kind: str
    order: str = "<"


class _Name(NamedTuple):
    """A function or class that a program names; it is never looked up."""

    module: str
    name: str


_DICT, _ENCODE = _Name("collections", "OrderedDict"), _Name("_codecs", "encode")
_DTYPE, _NDARRAY = _Name("numpy", "dtype"), _Name("numpy", "ndarray")
_CORES = ("numpy.core", "numpy._core")  # of 2020, and of numpy 2
_RECONSTRUCT = [_Name(f"{core}.multiarray", "_reconstruct") for core in _CORES]
_FROM_BUFFER = [_Name(f"{core}.numeric", "_frombuffer") for core in _CORES]
_KNOWN = {_DICT, _ENCODE, _DTYPE, _NDARRAY, *_RECONSTRUCT, *_FROM_BUFFER}


class _Machine:
    """One run of a program; steps are called as in `pickletools`."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[Any, Any] = {}

    def run(self, file: BinaryIO) -> Any:
        """What the program makes. Raises WeightsError with why it is refused, or any error."""
        for count, (step, value, _) in enumerate(pickletools.genops(file)):
            if count > _STEPS:
                raise WeightsError("it is not made like a file of weights")
            if step.name in _LITERALS:
                self._stack.append(value)
            elif step.name in _CONSTANTS:
                self._stack.append(_CONSTANTS[step.name]())
            elif step.name not in ("PROTO", "FRAME", "STOP"):
                self._take(step.name, value)
        (made,) = self._stack
        return made

    def _take(self, step: str, value: Any) -> None:
        if step == "MARK":
            self._marks.append(len(self._stack))
        elif step == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif step.endswith("PUT"):
            self._memo[value] = self._stack[-1]
        elif step.endswith("GET"):
            self._stack.append(self._memo[value])
        elif step.endswith("GLOBAL"):
            self._name(*(value.rpartition(" ")[::2] if value else self._pop(2)))
        elif step in ("REDUCE", "BUILD"):
            self._reduce() if step == "REDUCE" else self._build()
        else:
            self._collect(step)

    def _pop(self, count: int | None = None) -> list[Any]:
        """The uppermost entries of the stack; by default those above the last mark."""
        start = self._marks.pop() if count is None else len(self._stack) - count
        if start < 0:
            raise ValueError("the stack is empty")
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _collect(self, step: str) -> None:
        if step.startswith("TUPLE"):
            self._stack.append(tuple(self._pop(int(step[5:]) if step[5:] else None)))
        elif step == "LIST":
            self._stack.append(self._pop())
        elif step in ("APPEND", "APPENDS"):
            values = self._pop(1 if step == "APPEND" else None)
            self._last(list).extend(values)
        elif step in ("DICT", "SETITEM", "SETITEMS"):
            values = self._pop(2 if step == "SETITEM" else None)
            if step == "DICT":
                self._stack.append({})
            self._set_items(values)
        else:
            raise WeightsError(f"it has the step {step}, which arrays by name do not need")

    def _last(self, kind: type[Any]) -> Any:
        if type(self._stack[-1]) is not kind:
            raise ValueError(f"no {kind.__name__}")
        return self._stack[-1]

    def _set_items(self, values: list[Any]) -> None:
        """Only texts are names: the hash of what hostile programs nest takes for ever."""
        if not all(type(name) is str for name in values[::2]):
            raise WeightsError("it holds something else than arrays by name")
        self._last(dict).update(zip(values[::2], values[1::2], strict=True))

    def _name(self, module: Any, name: Any) -> None:
        named = _Name(module, name)
        if type(module) is not str or type(name) is not str or named not in _KNOWN:
            asked = f"{module}.{name}" if type(module) is type(name) is str else "no name"
            raise WeightsError(
                f"it asks for {_quote(asked)}, which could run code; weights are arrays alone"
            )
        self._stack.append(named)

    def _reduce(self) -> None:
        named, values = self._pop(2)
        if named == _DICT and values == ():
            self._stack.append({})
        elif named == _ENCODE:
            text, encoding = values
            if encoding != "latin1":
                raise ValueError("encoding")
            self._stack.append(text)  # bytes as text, as Python 2 had them
        elif named == _DTYPE:
            if values[0] not in _DTYPES:
                raise WeightsError(f"it holds arrays of type {_quote(values[0])}, not f2, f4 or i8")
            self._stack.append(_DType(values[0]))
        elif named in _RECONSTRUCT:
            self._stack.append(PickledArray())
        elif named in _FROM_BUFFER:
            data, dtype, shape, order = values
            self._stack.append(_make_array(data, dtype, shape, order))
        else:
            raise ValueError("no function")

    def _build(self) -> None:
        target, state = self._pop(2)
        if type(target) is PickledArray:
            _, shape, dtype, fortran, data = state
            vars(target).update(vars(_make_array(data, dtype, shape, "F" if fortran else "C")))
        elif type(target) is _DType:
            if state[1] not in ("<", ">"):
                raise ValueError("byte order")
            target.order = state[1]
        elif type(target) is not dict:  # what hangs on a dictionary says nothing of its arrays
            raise ValueError("no array")
        self._stack.append(target)


def _make_array(data: Any, dtype: Any, shape: Any, order: Any) -> PickledArray:
    if type(data) not in (bytes, bytearray, str) or type(dtype) is not _DType:
        raise ValueError("no array")
    if order not in ("C", "F") or len(shape) > 4:
        raise ValueError("no shape")
    if not all(type(side) is int and 0 <= side < 1 << 31 for side in shape):
        raise ValueError("no shape")
    return PickledArray(data, dtype.order + dtype.kind, tuple(shape), order)


def _quote(text: Any) -> str:
    """A text as one short line, whatever is in it."""
    return repr(text[:80]) if type(text) is str else f"a {type(text).__name__}"


_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
