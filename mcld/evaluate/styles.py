"""The styles in which a table can be printed."""

from typing import Literal

Style = Literal["latex", "markdown", "csv"]
STYLES: tuple[Style, ...] = ("latex", "markdown", "csv")
