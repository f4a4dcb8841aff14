"""`mcld sample`: one picture, or a whole split, repainted in new poses."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mcld.machine.processes import is_main
from mcld_cli import console
from mcld_cli.launch import Processes, launch
from mcld_cli.options import (
    Compile,
    Config,
    Device,
    Dtype,
    Fast,
    Guidance,
    LowMemory,
    Overrides,
    Scheduler,
    Seed,
    Size,
    Steps,
    Weights,
    demand,
    overrides_of,
    refuse,
    sampling_flags,
)

_ONE, _SPLIT = "One picture", "A whole split"


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
    weights: Weights = None,
    seed: Seed = None,
    steps: Steps = None,
    guidance: Guidance = None,
    scheduler: Scheduler = None,
    fast: Fast = False,
    size: Size = None,
    dtype: Dtype = None,
    device: Device = None,
    compile_: Compile = False,
    low_memory: LowMemory = False,
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
        demand(one, "give --source, --pose and --out, or --split and --save-path")
        refuse({"--dataset": dataset, "--limit": limit, "--processes": processes}, "--split")
    else:
        demand(whole, "--split and --save-path go together")
        also = {
            "--num-images": num_images > 1,
            "--sheet": sheet,
            "--attention-maps": attention_maps,
        }
        refuse({**one, **also}, "one picture, not with --split")
    flags = sampling_flags(
        seed, steps, guidance, scheduler, fast, size, dtype, device, compile_, low_memory
    )
    from mcld.settings import load_settings

    settings = load_settings(config, overrides_of({"sample.dataset": dataset, **flags}, overrides))
    from mcld.sample.request import PictureRequest, SplitRequest

    # What can be refused at once is refused before the seconds that the libraries take.
    if split is None or save_path is None:
        assert source
        assert pose
        assert out
        seed = settings.sample.seed
        picture = PictureRequest(
            source, pose, out, weights, pose_kind, seed, num_images, sheet, attention_maps
        )
        with console.importing():
            from mcld.sample.picture import sample_picture

        with console.progress("Sampling", "steps") as count:
            written = sample_picture(picture, settings, say=console.say, on_step=count)
        for path in written:
            console.say(f"Wrote {path}")
        return

    request = SplitRequest(settings.sample.dataset, split, save_path, weights, limit)
    if processes:
        launch(processes)
        return
    with console.importing():
        from mcld.sample.split import sample_split

    with console.progress("Sampling", "pictures") as count:
        sample_split(request, settings, say=console.say, on_picture=count)
    if is_main():
        console.say(f"The pictures are in {save_path}: 256/ and 512/.")
        if split == "test":
            console.say("Next:")
            console.show_command(
                f"mcld evaluate --save-path {save_path} --dataset {settings.sample.dataset}"
            )
