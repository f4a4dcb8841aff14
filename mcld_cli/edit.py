"""`mcld edit`: change the face, the clothes or the pose of a person, and nothing else."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mcld.errors import SettingsError
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

_WHAT, _TEXTURE, _MANY = "What to change", "Texture map", "Many pictures"


def _photo(help_: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        metavar="FILE", help=help_, show_default=False, rich_help_panel=_WHAT
    )
    return option


def _one(part: str, files: list[Path] | None) -> Path | None:
    """The one donor of a part. Raises SettingsError for two."""
    if len(set(files or [])) > 1:
        raise SettingsError(f"two donors for {part}: {' and '.join(map(str, files or []))}")
    return files[0] if files else None


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def edit(
    source: Annotated[
        Path | None,
        typer.Option(metavar="JPG", help="Photo of the person.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Where the picture goes.", show_default=False),
    ] = None,
    pose: Annotated[
        Path | None, _photo("Another pose: a DensePose IUV map, or a photo of somebody in it.")
    ] = None,
    pose_kind: Annotated[
        Literal["auto", "iuv", "photo"] | None,
        typer.Option(
            help="What --pose is; auto: a PNG whose part labels are all at most 24 is a map."
            " (default: auto)",
            show_default=False,
            rich_help_panel=_WHAT,
        ),
    ] = None,
    face: Annotated[
        list[Path] | None,
        _photo("Who it is: the face and the head's texture of this photo."),
    ] = None,
    upper: Annotated[list[Path] | None, _photo("Torso and arms as in this photo.")] = None,
    lower: Annotated[list[Path] | None, _photo("Legs as in this photo.")] = None,
    feet: Annotated[list[Path] | None, _photo("Feet as in this photo.")] = None,
    hands: Annotated[list[Path] | None, _photo("Hands as in this photo.")] = None,
    head: Annotated[list[Path] | None, _photo("The head's texture only, as in this photo.")] = None,
    garment: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PARTS=FILE",
            help="Several of these parts of one photo: upper,lower=bob.jpg. May be repeated.",
            show_default=False,
            rich_help_panel=_WHAT,
        ),
    ] = None,
    recolor: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART=COLOUR",
            help="A garment in another colour: upper=#803020. May be repeated.",
            show_default=False,
            rich_help_panel=_WHAT,
        ),
    ] = None,
    interpolate: Annotated[
        Path | None, _photo("Who the person turns into; the picture is a strip.")
    ] = None,
    amount: Annotated[
        str | None,
        typer.Option(
            metavar="FROM:TO:COUNT",
            help="How far --interpolate goes, 0 to 1, in how many pictures. (default: 0:1:7)",
            show_default=False,
            rich_help_panel=_WHAT,
        ),
    ] = None,
    keep: Annotated[
        Literal["background"] | None,
        typer.Option(
            help="What is not body comes from the photo; in its own pose.",
            show_default=False,
            rich_help_panel=_WHAT,
        ),
    ] = None,
    texture: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG",
            help="A texture map painted by hand.",
            show_default=False,
            rich_help_panel=_TEXTURE,
        ),
    ] = None,
    export_texture: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG",
            help="Write the texture map of --source to paint on, and a guide layer.",
            show_default=False,
            rich_help_panel=_TEXTURE,
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML",
            help="A list of edits; resumed where some pictures are there.",
            show_default=False,
            rich_help_panel=_MANY,
        ),
    ] = None,
    processes: Processes = None,
    sheet: Annotated[
        bool,
        typer.Option("--sheet", help="Also write source, donors, texture and result side by side."),
    ] = False,
    strength: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="In the photo's own pose, the network's share in the picture, 0 to 1; the rest is"
            " the photo with the edited texture laid on. (default: the weights' own)",
            rich_help_panel="How",
        ),
    ] = None,
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
    """Change the face, the clothes or the pose of a person, and nothing else.

    Edits combine freely. Without --pose, the person stays in the pose of the
    photo. Photos may lie in a prepared dataset, or anywhere. In a recipe, an
    edit's keys are the options' names.

    Examples:

      mcld edit --source alice.jpg --upper bob.jpg --out out.png

      mcld edit --source alice.jpg --face bob.jpg --recolor lower=navy
      --keep background --out out.png --sheet

      mcld edit --source alice.jpg --interpolate bob.jpg --amount 0:1:7
      --out strip.png

      mcld edit --source alice.jpg --export-texture t.png

      mcld edit --recipe edits.yaml --processes 2
    """
    donors = {
        "face": face,
        "head": head,
        "upper": upper,
        "lower": lower,
        "feet": feet,
        "hands": hands,
    }
    named = {
        **{name: _one(name, files) for name, files in donors.items()},
        "garment": garment,
        "recolor": recolor,
        "texture": texture,
        "interpolate": interpolate,
        "amount": amount,
        "keep": keep,
        "pose": pose,
        "pose_kind": pose_kind,
    }
    given = {name: value for name, value in named.items() if value is not None}
    single: dict[str, object] = {
        "--source": source,
        "--out": out,
        **{_option(name): v for name, v in given.items()},
    }
    if recipe is not None:
        single |= {"--export-texture": export_texture, "--sheet": sheet}
        refuse(single, "one picture, not with --recipe")
    elif export_texture is not None:
        demand({"--source": source}, "--export-texture needs a photo")
        if out is not None:
            raise SettingsError("give --out or --export-texture, not both")
        single |= {"--source": None, "--sheet": sheet, "--processes": processes}
        refuse(single, "--out, not with --export-texture")
    else:
        demand({"--source": source, "--out": out}, "give --source and --out, or --recipe")
        refuse({"--processes": processes}, "--recipe")
    flags = sampling_flags(
        seed, steps, guidance, scheduler, fast, size, dtype, device, compile_, low_memory
    )
    from mcld.settings import load_settings

    settings = load_settings(config, overrides_of({"edit.strength": strength, **flags}, overrides))
    from mcld.edit.request import check_export, edit_request, read_recipe

    # What can be refused at once is refused before the seconds that the libraries take.
    if recipe is not None:
        requests = read_recipe(recipe)
        if processes:
            launch(processes)
            return
        with console.importing():
            from mcld.edit.recipe import edit_recipe

        with console.progress("Editing", "pictures") as count:
            edit_recipe(recipe, requests, weights, settings, say=console.say, on_done=count)
        if is_main():
            console.say(f"All pictures of {recipe} are there.")
        return
    assert source
    if export_texture is not None:
        check_export(source, export_texture)
        with console.importing():
            from mcld.edit.picture import export_texture as export

        written = export(source, export_texture, settings, say=console.say)
    else:
        request = edit_request({"source": source, "out": out, **given}, "")
        request.check_files(sheet=sheet)
        with console.importing():
            from mcld.edit.picture import edit_picture

        with console.progress("Editing", "steps") as count:
            written = edit_picture(
                request, weights, settings, sheet=sheet, say=console.say, on_step=count
            )
    for path in written:
        console.say(f"Wrote {path}")
