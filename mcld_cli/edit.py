"""`mcld edit`: change the face, the clothes or the pose of a person, and nothing else."""

from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer

from mcld.edit.options import DONORS, EditOptions
from mcld.errors import SettingsError
from mcld.machine.processes import is_main
from mcld.settings import Settings, load_settings
from mcld_cli import console
from mcld_cli.launch import Processes, launch
from mcld_cli.options import (
    HOW,
    SAMPLING,
    Config,
    Overrides,
    Values,
    Weights,
    check_device,
    check_signing,
    demand,
    make_overrides,
    option,
    reading_options,
    refuse,
    setting_options,
    with_options,
)


def _type_of(name: str) -> Any:
    """What Typer is to read for a field of an edit."""
    annotation = EditOptions.model_fields[name].annotation
    if name in DONORS:
        return list[Path]  # so that a second one is seen, not taken
    if get_origin(annotation) is tuple:
        return list[get_args(annotation)[0]]  # type: ignore[misc]
    return annotation


EDIT = {
    name: option(name, _type_of(name), help=field.description, **dict(field.json_schema_extra))
    for name, field in EditOptions.model_fields.items()
    if isinstance(field.json_schema_extra, dict)  # seed and strength are settings here
}


FLAGS = {
    **reading_options("Photos"),
    **setting_options("Photos", fit_body="prepare.fit_body"),
    **setting_options(HOW, strength="edit.strength"),
    **SAMPLING,
}


@with_options(edits=EDIT, flags=FLAGS)
def edit(
    *,
    edits: Values,
    export_texture: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG",
            help="Write the texture map of --source to paint on, and a guide layer.",
            rich_help_panel="Texture map",
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML",
            help="A list of edits; resumed where some pictures are there.",
            rich_help_panel="Many pictures",
        ),
    ] = None,
    processes: Processes = None,
    sheet: Annotated[
        bool,
        typer.Option("--sheet", help="Also write source, donors, texture and result side by side."),
    ] = False,
    weights: Weights = None,
    flags: Values,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Change the face, the clothes or the pose of a person, and nothing else.

    Edits combine freely. Without --pose, the person stays in the pose of the
    photo. Photos may lie in a prepared dataset, or anywhere. In a recipe, an
    edit's keys are the options' names.

    Examples:

      mcld edit --source alice.jpg --upper bob.jpg --out out.png

      mcld edit --source alice.jpg --face bob.jpg --out out.png --sheet

      mcld edit --source alice.jpg --recolor lower=navy --out out.png

      mcld edit --source A.jpg --interpolate B.jpg --amount 0:1:7 --out out.png

      mcld edit --source front.jpg --source back.jpg --export-texture t.png

      mcld edit --recipe edits.yaml --processes 2
    """
    edits |= {part: _one_donor(part, edits[part]) for part in DONORS if part in edits}
    given = {f"--{name.replace('_', '-')}": value for name, value in edits.items()}
    source, out = edits.get("source"), edits.get("out")
    if recipe:
        given |= {"--export-texture": export_texture, "--sheet": sheet}
        refuse(given, "goes with one picture, not with --recipe")
    elif export_texture:
        demand({"--source": source}, "--export-texture needs a photo")
        if out is not None:
            raise SettingsError("give --out or --export-texture, not both")
        given |= {
            "--source": None,
            "--source-pose": None,
            "--sheet": sheet,
            "--processes": processes,
            "--fit-body": flags.get("prepare.fit_body"),
        }
        refuse(given, "goes with --out, not with --export-texture")
    else:
        demand({"--source": source, "--out": out}, "give --source and --out, or --recipe")
        refuse({"--processes": processes}, "goes with --recipe")
        if "pose" not in edits:
            refuse({"--fit-body": flags.get("prepare.fit_body")}, "goes with --pose")
    settings = load_settings(config, make_overrides(flags, overrides))
    check_device(settings.sample, processes)
    check_signing(settings.sample)
    if recipe:
        _carry_out_recipe(recipe, weights, settings, processes)
    elif export_texture:
        _export_texture(edits, export_texture, settings)
    else:
        _edit_picture(edits, weights, settings, sheet)


def _one_donor(part: str, files: list[Path]) -> Path:
    if len(set(files)) > 1:
        raise SettingsError(f"two donors for {part}: {' and '.join(map(str, files))}")
    return files[0]


# What can be refused at once is refused before the seconds that the libraries take.


def _carry_out_recipe(
    recipe: Path, weights: Path | None, settings: Settings, processes: int | None
) -> None:
    from mcld.edit.request import read_recipe

    requests = read_recipe(recipe)
    if processes:
        launch(processes)
        return
    with console.importing_diffusers():
        from mcld.edit.recipe import edit_recipe

    with console.progress("Editing", "pictures") as count:
        made = edit_recipe(recipe, requests, weights, settings, say=console.say, on_done=count)
    if is_main():
        console.say(f"All pictures of {recipe} are there.")
        console.show_result({"pictures": [request.out for request in requests], "made": made})


def _export_texture(edits: Values, out: Path, settings: Settings) -> None:
    from mcld.edit.request import ExportRequest

    request = ExportRequest(
        tuple(edits["source"]), out, settings.prepare, tuple(edits.get("source_pose", ()))
    )
    with console.importing_diffusers():
        from mcld.edit.picture import export_texture

    _tell_written(export_texture(request, settings, say=console.say))


def _edit_picture(edits: Values, weights: Path | None, settings: Settings, sheet: bool) -> None:
    from mcld.edit.request import parse_edit_request

    request = parse_edit_request(edits, "")
    request.check_files(settings.prepare, sheet=sheet)
    with console.importing_diffusers():
        from mcld.edit.picture import edit_picture

    with console.progress("Editing", "steps") as count:
        written = edit_picture(
            request, weights, settings, sheet=sheet, say=console.say, on_step=count
        )
    _tell_written(written)


def _tell_written(written: list[Path]) -> None:
    for path in written:
        console.say(f"Wrote {path}")
    console.show_result({"written": written})
