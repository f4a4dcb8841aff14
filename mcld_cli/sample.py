"""`mcld sample`: one picture, or a whole split, repainted in new poses."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from mcld.distributed import is_first
from mcld.errors import SettingsError
from mcld_cli import console
from mcld_cli.launch import Processes, launch
from mcld_cli.options import Config, Overrides, overrides_of

_ONE, _SPLIT, _HOW = "One picture", "A whole split", "How"


def sample(
    source: Annotated[
        Path | None,
        typer.Option(
            metavar="JPG", help="Photo of the person.", show_default=False, rich_help_panel=_ONE
        ),
    ] = None,
    pose: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The new pose: a DensePose IUV map, or a photo of somebody in it.",
            show_default=False,
            rich_help_panel=_ONE,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG",
            help="Where the picture goes.",
            show_default=False,
            rich_help_panel=_ONE,
        ),
    ] = None,
    pose_kind: Annotated[
        Literal["auto", "iuv", "photo"],
        typer.Option(
            help="What --pose is; auto: a PNG whose part labels are all at most 24 is a map.",
            rich_help_panel=_ONE,
        ),
    ] = "auto",
    num_images: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Pictures, one for each of N seeds.", rich_help_panel=_ONE
        ),
    ] = 1,
    sheet: Annotated[
        bool,
        typer.Option(
            "--sheet",
            help="Also write source, pose, texture and result side by side.",
            rich_help_panel=_ONE,
        ),
    ] = False,
    attention_maps: Annotated[
        bool,
        typer.Option(
            "--attention-maps",
            help="Also write where source, texture and face are looked at.",
            rich_help_panel=_ONE,
        ),
    ] = False,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT",
            help="Sample every pair of test or train.",
            show_default=False,
            rich_help_panel=_SPLIT,
        ),
    ] = None,
    save_path: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the results, resumed if it holds some.",
            show_default=False,
            rich_help_panel=_SPLIT,
        ),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The prepared dataset. (default: dataset/fashion)",
            show_default=False,
            rich_help_panel=_SPLIT,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Only the first N pairs.",
            show_default=False,
            rich_help_panel=_SPLIT,
        ),
    ] = None,
    processes: Processes = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A pipeline folder, or one with the four files of the authors' layout."
            " (default: the network that came with mcld)",
            rich_help_panel=_HOW,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Of the starting noise. (default 0)", rich_help_panel=_HOW),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Denoising steps. (default: the weights' own)", rich_help_panel=_HOW
        ),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="How far to follow the conditions; 1: no guidance. (default: the weights' own)",
            rich_help_panel=_HOW,
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="ddim, dpm++, unipc or euler. (default: the weights' own)",
            rich_help_panel=_HOW,
        ),
    ] = None,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast",
            help="Where more steps are asked for, 10 of unipc: half the time of 20.",
            rich_help_panel=_HOW,
        ),
    ] = False,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="Height and width the network works at, such as 512x352."
            " (default: as it was trained)",
            rich_help_panel=_HOW,
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            metavar="DTYPE",
            help="float32, bfloat16 or float16. (default: bfloat16 on a GPU, else float32)",
            rich_help_panel=_HOW,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Such as cuda:1 or cpu. (default: a GPU where there is one)",
            rich_help_panel=_HOW,
        ),
    ] = None,
    compile_: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="Compile the network; pays off over many pictures.",
            rich_help_panel=_HOW,
        ),
    ] = False,
    low_memory: Annotated[
        bool,
        typer.Option(
            "--low-memory",
            help="Bring each network to the GPU only when it is needed; slower.",
            rich_help_panel=_HOW,
        ),
    ] = False,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Repaint the person of one picture in the pose of another; or a split.

    The texture map and the face of the source are found beside it when it
    lies in a prepared dataset, and else computed from the photo. Same seed,
    same picture, on the same machine. A split goes on where an earlier run
    was broken off.

    Examples:

      mcld sample --source dataset/mannequin/test/A.jpg --pose
      dataset/mannequin/test_densepose/B.png --out out.png

      mcld sample --source A.jpg --pose B.jpg --out out.png --num-images 4 --sheet

      mcld sample --split test --dataset dataset/mannequin
      --save-path results/mannequin

      mcld sample --split test --save-path results/mcld --processes 2
      --config configs/deepfashion.yaml --weights checkpoints
    """
    one = {"--source": source, "--pose": pose, "--out": out}
    whole = {"--split": split, "--save-path": save_path}
    if split is None and save_path is None:
        _demand(one, "give --source, --pose and --out, or --split and --save-path")
        _refuse({"--dataset": dataset, "--limit": limit, "--processes": processes}, "--split")
    else:
        _demand(whole, "--split and --save-path go together")
        also = {
            "--num-images": num_images > 1,
            "--sheet": sheet,
            "--attention-maps": attention_maps,
        }
        _refuse({**one, **also}, "one picture, not with --split")
    if fast and (steps is not None or scheduler is not None):
        raise SettingsError("--fast chooses --steps and --scheduler: leave them out")
    from mcld.settings import load_settings

    height, width = _size(size)
    flags = {
        "sample.seed": seed,
        "sample.num_inference_steps": steps,
        "sample.guidance_scale": guidance,
        "sample.scheduler": scheduler,
        "sample.height": height,
        "sample.width": width,
        "sample.dtype": dtype,
        "sample.device": device,
        "sample.dataset": dataset,
        "sample.compile": compile_ or None,
        "sample.fast": fast or None,
        "sample.low_memory": low_memory or None,
    }
    settings = load_settings(config, overrides_of(flags, overrides))
    if processes:
        launch(processes)
        return
    console.quiet_libraries()

    if split is None or save_path is None:
        assert source
        assert pose
        assert out
        from mcld.sample.picture import PictureRequest, sample_picture

        picture = PictureRequest(
            source, pose, out, weights, pose_kind, num_images, sheet, attention_maps
        )
        with console.progress("Sampling", "steps") as count:
            written = sample_picture(picture, settings, say=console.say, on_step=count)
        for path in written:
            console.say(f"Wrote {path}")
        return

    from mcld.sample.split import SplitRequest, sample_split

    request = SplitRequest(settings.sample.dataset, split, save_path, weights, limit)
    with console.progress("Sampling", "pictures") as count:
        sample_split(request, settings, say=console.say, on_picture=count)
    if is_first():
        console.say(f"The pictures are in {save_path}: 256/ and 512/.")
        if split == "test":
            console.say("Next:")
            console.show_command(
                f"mcld evaluate --save-path {save_path} --dataset {settings.sample.dataset}"
            )


def _demand(options: Mapping[str, object], what: str) -> None:
    missing = [name for name, value in options.items() if value is None]
    if missing:
        verb = "are" if len(missing) > 1 else "is"
        raise SettingsError(f"{what}: {' and '.join(missing)} {verb} missing")


def _refuse(options: Mapping[str, object], partner: str) -> None:
    for name, value in options.items():
        if value not in (None, False):
            raise SettingsError(f"{name} goes with {partner}")


def _size(text: str | None) -> tuple[str | None, str | None]:
    """Height and width of "HEIGHTxWIDTH"."""
    if text is None:
        return None, None
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found or any(int(side) < 8 or int(side) % 8 for side in found.groups()):
        raise SettingsError(
            f"--size {text}: give height and width in pixels, multiples of 8, such as 512x352"
        )
    return found[1], found[2]
