"""Values that the precision that is computed in can hold."""

from torch import Tensor


def check_finite(*values: Tensor) -> None:
    """Raise FloatingPointError when some value was too large for the precision."""
    if not all(value.isfinite().all() for value in values):
        raise FloatingPointError("values beyond the range of their precision")
