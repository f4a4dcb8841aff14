"""What the processes of one evaluation must agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from accelerate.utils import broadcast_object_list

from mcld.errors import MCLDError

if TYPE_CHECKING:
    from collections.abc import Callable

    from accelerate import PartialState

_T = TypeVar("_T")


def from_first(state: PartialState, work: Callable[[], _T]) -> _T:
    """What the main process finds out, told to all; an MCLDError there is raised in all.

    Files may come and go while processes look for them: one looks. All call this together.
    """
    told: list[Any] = [None, None]
    if state.is_main_process:
        try:
            told = [work(), None]
        except MCLDError as error:
            told = [None, error]
    value, wrong = broadcast_object_list(told)
    if wrong is not None:
        raise wrong
    found: _T = value
    return found
