"""Functions that numba compiles."""

from collections.abc import Callable
from typing import Any

from numba import njit


def jit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Numba's `njit`, whose work is kept on disk where there is a place that can be written.

    That is the folder of the source, or numba's own in the home folder. Without either, as in some
    containers, every process compiles anew.
    """

    def compile_(function: Callable[..., Any]) -> Any:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # how numba says that there is no such place
            return njit(**options)(function)

    return compile_
