"""`mcld weights`: what real photos need: is it there, fetch it, convert it."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from mcld.errors import MCLDError, SettingsError
from mcld.settings import load_settings
from mcld.weights.catalogue import catalogue
from mcld.weights.request import check_conversion
from mcld_cli import console
from mcld_cli.options import Command, Config, Group, Overrides, answers_in_json

weights = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="The weights that real photos need.",
)
_MEGABYTE = 1_000_000


@weights.command(cls=Command)
@answers_in_json
def status(config: Config = None, overrides: Overrides = None) -> None:
    """Show what is there and what is missing: size, licence, source.

    Example:

      mcld weights status
    """
    settings = load_settings(config, overrides)
    items = catalogue(settings)
    missing = [item for item in items if not item.is_present()]
    console.show_table(
        ("name", "there", "GB", "used by", "licence; source"),
        [
            (
                item.name,
                "no" if item in missing else "yes",
                f"{item.gigabytes:.2f}",
                item.used_for,
                f"{item.licence}\n{item.source}",
            )
            for item in items
        ],
        numbers=("GB",),
        whole=("name", "there", "GB", "used by"),
    )
    console.show_result(
        {
            "weights": [
                {
                    "name": item.name,
                    "there": item not in missing,
                    "gigabytes": item.gigabytes,
                    "used_for": item.used_for,
                    "folder": item.folder,
                    "licence": item.licence,
                    "source": item.source,
                }
                for item in items
            ]
        }
    )
    if not missing:
        console.say("Everything is there.")
        return
    total = sum(item.gigabytes for item in missing)
    console.say(f"{len(missing)} of {len(items)} are missing, {total:.1f} GB. Next:")
    console.show_command("mcld", "weights", "download")


@weights.command(cls=Command)
@answers_in_json
def download(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Of `mcld weights status`; all that is missing if none is given.",
        ),
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Fetch what is missing; what was broken off goes on where it stopped.

    HF_ENDPOINT, HF_TOKEN and the proxies' variables count. Several of the
    weights are for non-commercial research only: see `mcld weights status`.

    Examples:

      mcld weights download

      mcld weights download densepose antelopev2
    """
    settings = load_settings(config, overrides)
    from mcld.weights.download import download as download_item

    items = {item.name: item for item in catalogue(settings)}
    for name in names or ():
        if name not in items:
            raise SettingsError(f"there are no weights {name!r}; there are {', '.join(items)}")
    wanted = [items[name] for name in names or items]
    failed = []
    for item in wanted:
        if item.is_present():
            console.say(f"{item.name}: there already")
            continue
        console.say(f"{item.name}: about {item.gigabytes:.2f} GB from {item.source}")
        try:
            with console.StageProgress("MB") as progress:
                download_item(item, partial(_count_megabytes, progress))
        except MCLDError as error:
            failed.append(item.name)
            console.show_error(f"{item.name}: {error}")
    console.show_result({"there": [item.name for item in wanted if item.name not in failed]})
    if failed:
        raise MCLDError(f"{len(failed)} of {len(wanted)} are still missing: {', '.join(failed)}")


def _count_megabytes(progress: console.StageProgress, file: str, done: int, total: int) -> None:
    progress.count(f"  {file}", done // _MEGABYTE, max(total, done) // _MEGABYTE)


@weights.command(cls=Command)
@answers_in_json
def convert(
    source: Annotated[
        Path,
        typer.Argument(metavar="FROM", help="A pipeline folder, or one with the four files."),
    ],
    target: Annotated[Path, typer.Argument(metavar="TO", help="A new folder.")],
    to: Annotated[
        Literal["pth", "safetensors", "pipeline"],
        typer.Option(
            help="pth: four files, as the authors' programs read them; safetensors: the same four;"
            " pipeline: a diffusers pipeline folder.",
        ),
    ],
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Write weights in other files, bit for bit.

    A pipeline made of four files takes its encoders from the folder
    pretrained_weights (sample.pretrained), or from the training run that the
    files lie in.

    Examples:

      mcld weights convert checkpoints pipelines/mcld --to pipeline

      mcld weights convert runs/deepfashion/pipeline released --to safetensors
    """
    settings = load_settings(config, overrides)
    check_conversion(source, target, to)
    with console.importing():
        from mcld.weights.convert import convert as convert_weights

    convert_weights(source, target, to, settings)
    console.say(f"The weights are in {target}.")
    console.show_result({"weights": target})
