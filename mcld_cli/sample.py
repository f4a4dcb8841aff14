"""`mcld sample`: one picture, repainted in a new pose."""

from pathlib import Path
from typing import Annotated

import typer

from mcld_cli import console
from mcld_cli.options import Config, Overrides, overrides_of


def sample(
    source: Annotated[
        Path, typer.Option(metavar="JPG", help="Photo of the person.", show_default=False)
    ],
    pose: Annotated[
        Path,
        typer.Option(metavar="PNG", help="DensePose IUV map of the new pose.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option(metavar="PNG", help="Where the picture goes.", show_default=False)
    ],
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A pipeline folder, or one with the four files of the authors' layout."
            " (default: the network that came with mcld)",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Seed of the starting noise. (default 0)")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="Denoising steps. (default: the weights' own)")
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="How far to follow the conditions; 1: no guidance. (default: the weights' own)",
        ),
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Repaint the person of one picture in the pose of another.

    When the source lies in a prepared dataset, its texture and face are found
    beside it. Same seed, same picture, on the same machine.

    Example:

      mcld sample --source dataset/mannequin/test/A.jpg --pose
      dataset/mannequin/test_densepose/B.png --out out.png
    """
    from mcld.settings import load_settings

    flags = {
        "sample.seed": seed,
        "sample.num_inference_steps": steps,
        "sample.guidance_scale": guidance,
    }
    settings = load_settings(config, overrides_of(flags, overrides))
    console.quiet_libraries()
    from mcld.sample.picture import sample_picture

    with console.progress("Sampling", "steps") as count:
        sample_picture(
            settings,
            source=source,
            pose=pose,
            out=out,
            weights=weights,
            say=console.say,
            on_step=lambda done, total: count(done, total, ""),
        )
    console.say(f"Wrote {out}")
