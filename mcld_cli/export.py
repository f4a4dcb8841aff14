"""`mcld export`: a network for other programs."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from mcld.export.request import ExportRequest
from mcld.settings import load_settings
from mcld_cli import console
from mcld_cli.options import (
    HOW,
    Config,
    Overrides,
    Values,
    Weights,
    make_overrides,
    setting_options,
    size_option,
    with_options,
)

FLAGS = {
    **setting_options(
        HOW,
        steps="sample.num_inference_steps",
        guidance="sample.guidance_scale",
        scheduler="sample.scheduler",
    ),
    **size_option(),
}


@with_options(flags=FLAGS)
def export(
    *,
    to: Annotated[Literal["onnx"], typer.Option(help="In what form.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder.")],
    weights: Weights = None,
    flags: Values,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Write a network as graphs that other programs run, checked against PyTorch.

    The folder holds four ONNX graphs, their weights beside them, and
    pipeline.json, which says how to run them: one picture at a time, of one
    size, by DDIM. What they paint is compared with what PyTorch paints, and
    nothing is kept if it is another picture.

    Examples:

      mcld export --to onnx --out graphs

      mcld export --to onnx --weights runs/mine/pipeline --steps 10 --out graphs
    """
    settings = load_settings(config, make_overrides(flags, overrides))
    request = ExportRequest(out, weights, settings.sample)
    with console.importing_diffusers():
        from mcld.export.onnx_files import export_onnx

    with console.progress("Exporting", "graphs") as count:
        found = export_onnx(request, settings, say=console.say, on_graph=count)
    near = "the same picture as PyTorch's"
    if math.isfinite(found.psnr):
        near = (
            f"{found.psnr:.1f} dB from PyTorch's picture: {found.share:.2%} of its numbers differ,"
            f" by {found.levels} of 255 at most"
        )
    console.say(f"The graphs paint {near}.")
    console.say(f"They are in {out}; docs/export.md says how to run them.")
    console.show_result({"graphs": out, "format": to, **asdict(found)})
