"""`mcld weights`: what real photos need: is it there, fetch it, convert it."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from mcld.errors import MCLDError, SettingsError, WeightsError
from mcld.estimators.pose import find_densepose_weights, name_densepose_files
from mcld.licences import LICENCES, UV_NOTICE, Licence
from mcld.settings import PrepareSettings, Settings, load_settings
from mcld.train.snapshots import check_average
from mcld.weights.catalogue import Item, catalogue
from mcld.weights.request import Format, check_conversion, check_densepose_conversion
from mcld_cli import console
from mcld_cli.options import (
    Command,
    Config,
    Group,
    Overrides,
    Values,
    answers_in_json,
    demand,
    make_overrides,
    setting_options,
    with_options,
)

weights = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="The weights that real photos need.",
)
_MEGABYTE = 1_000_000
FLAGS = setting_options(commercial="prepare.commercial")


@weights.command(cls=Command)
@answers_in_json
@with_options(flags=FLAGS)
def status(*, flags: Values, config: Config = None, overrides: Overrides = None) -> None:
    """Show what is there and what is missing, and what may be used for what.

    Examples:

      mcld weights status

      mcld weights status --commercial
    """
    settings = load_settings(config, make_overrides(flags, overrides))
    items = catalogue(settings)
    if settings.prepare.commercial:
        items = _refuse_items(items)
    missing = [item for item in items if not item.is_present()]
    console.show_table(
        ("name", "there", "GB", "commercial", "licence; used by; stated at"),
        [
            (
                item.name,
                "no" if item in missing else "yes",
                f"{item.gigabytes:.2f}",
                item.licence.commercial,
                "\n".join((_name_licences(item.licence), item.used_for, item.licence.stated)),
            )
            for item in items
        ],
        numbers=("GB",),
        whole=("name", "there", "GB", "commercial"),
    )
    console.say("Why, and what of data and of what comes along: docs/licences.md.")
    console.show_result(
        {
            "weights": [
                {
                    "name": item.name,
                    "there": item not in missing,
                    "gigabytes": item.gigabytes,
                    "used_for": item.used_for,
                    "folder": item.folder,
                    "licence": item.licence.weights,
                    "commercial": item.licence.commercial,
                    "source": item.source,
                }
                for item in items
            ],
            "licences": {name: asdict(licence) for name, licence in LICENCES.items()},
        }
    )
    if not missing:
        console.say("Everything is there.")
        return
    total = sum(item.gigabytes for item in missing)
    console.say(f"{len(missing)} of {len(items)} are missing, {total:.1f} GB. Next:")
    only = ["--commercial"] if settings.prepare.commercial else []
    console.show_command("mcld", "weights", "download", *only)


def _name_licences(licence: Licence) -> str:
    return f"{licence.weights}; code: {licence.code}"


def _refuse_items(items: list[Item]) -> list[Item]:
    """Those that may be used commercially; of the others is said why not."""
    reasons = (item.licence.explain_refusal() for item in items)
    for reason in dict.fromkeys(filter(None, reasons)):
        console.say(reason)
    console.say(UV_NOTICE)
    return [item for item in items if item.licence.commercial == "yes"]


@weights.command(cls=Command)
@answers_in_json
@with_options(flags=FLAGS)
def download(
    *,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Of `mcld weights status`; all that is missing if none is given.",
        ),
    ] = None,
    flags: Values,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Fetch what is missing; what was broken off goes on where it stopped.

    HF_ENDPOINT, HF_TOKEN and the proxies' variables count. Several of the
    weights are for non-commercial research only: see `mcld weights status`.

    Examples:

      mcld weights download

      mcld weights download densepose antelopev2

      mcld weights download --commercial
    """
    settings = load_settings(config, make_overrides(flags, overrides))
    from mcld.weights.download import download as download_item

    items = {item.name: item for item in catalogue(settings)}
    for name in names or ():
        if name not in items:
            raise SettingsError(f"there are no weights {name!r}; there are {', '.join(items)}")
        if settings.prepare.commercial:
            items[name].licence.check_commercial()
    wanted = [items[name] for name in names or items]
    if settings.prepare.commercial and not names:
        wanted = _refuse_items(wanted)
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
        typer.Argument(
            metavar="FROM",
            help="A pipeline folder, or one with the four files; or densepose, or its .pkl.",
        ),
    ],
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="TO",
            help="A new folder; of densepose a new file. (default for densepose: beside FROM)",
        ),
    ] = None,
    to: Annotated[
        Literal["pth", "safetensors", "pipeline"] | None,
        typer.Option(
            help="pth: four files, as the authors' programs read them; safetensors: the same four;"
            " pipeline: a diffusers pipeline folder. DensePose is always written as safetensors.",
        ),
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Write weights in other files, bit for bit. No code in them is run.

    A pipeline made of four files takes its encoders from the folder
    pretrained_weights (sample.pretrained), or from the training run that the
    files lie in.

    Examples:

      mcld weights convert checkpoints pipelines/mcld --to pipeline

      mcld weights convert runs/deepfashion/pipeline released --to safetensors

      mcld weights convert densepose
    """
    settings = load_settings(config, overrides)
    if source.suffix == ".pkl" or (source == Path("densepose") and not source.is_dir()):
        _convert_densepose(source, target, to, settings.prepare)
    elif not source.is_dir():
        what = "is a file" if source.exists() else "does not exist"
        raise WeightsError(f"{source} is no folder of weights, nor DensePose's .pkl: it {what}")
    else:
        demand({"TO": target, "--to": to}, "give a new folder and what it is to hold")
        assert target
        assert to
        _convert_folder(source, target, to, settings)


def _convert_densepose(
    source: Path, target: Path | None, to: str | None, options: PrepareSettings
) -> None:
    if to not in (None, "safetensors"):
        raise SettingsError(f"--to {to}: DensePose's weights are written as safetensors")
    if source.suffix != ".pkl":
        source = find_densepose_weights(options)
    target = target or source.with_suffix(".safetensors")
    check_densepose_conversion(source, target)
    with console.importing_diffusers():
        from mcld.weights.convert_densepose import convert_densepose

    convert_densepose(source, target)
    if target in name_densepose_files(options):
        console.say(f"Wrote {target}. Beside it, {source.name} is no longer needed.")
    else:
        console.say(f"Wrote {target}. To use it: --set prepare.densepose_weights={target}")
    console.show_result({"weights": target})


def _convert_folder(source: Path, target: Path, to: Format, settings: Settings) -> None:
    check_conversion(source, target, to)
    with console.importing_diffusers():
        from mcld.weights.convert import convert as convert_weights

    convert_weights(source, target, to, settings)
    console.say(f"The weights are in {target}.")
    console.show_result({"weights": target})


_LISTED_WIDTHS = (0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25)


@weights.command(cls=Command)
@answers_in_json
def average(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="The output folder of a training that took snapshots."),
    ],
    width: Annotated[
        list[float] | None,
        typer.Option(
            metavar="SIGMA",
            help="Standard deviation of the average's profile, as a share of the run: 0.05 is"
            " short, 0.2 long. May be repeated. (default: list what the snapshots make)",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A new pipeline folder; of several widths, a folder that holds one for each.",
        ),
    ] = None,
) -> None:
    """Average a run's weights over another length than they were averaged over.

    The run needs snapshots, which are taken with train.post_hoc_ema=[0.05, 0.1].
    Without --width, nothing is written: it lists how exactly they make which
    widths.

    Examples:

      mcld weights average runs/mine

      mcld weights average runs/mine --width 0.07 --out pipelines/0.07

      mcld weights average runs/mine --width 0.04 --width 0.08 --out new
    """
    widths = list(dict.fromkeys(width or ()))
    if widths or out:
        demand({"--width": widths or None, "--out": out}, "give a width and a new folder")
    snapshots = check_average(run, widths, out)
    with console.importing_diffusers():
        from mcld.train.average import average_snapshots, profile_errors

    errors = profile_errors(snapshots, widths or _LISTED_WIDTHS)
    times = {snapshot.images for snapshot in snapshots}
    console.say(
        f"What the snapshots of {run} make, of {len(times)} times up to {max(times):,} pictures:"
    )
    console.show_table(
        ("width", "error of the profile"),
        [(width, f"{error:.2%}") for width, error in errors.items()],
    )
    targets: dict[float, Path] = {}
    if out:
        targets = {width: out / str(width) for width in widths} if widths[1:] else {widths[0]: out}
        with console.progress("Averaging", "tensors") as count:
            average_snapshots(run, snapshots, targets, count)
        console.say(f"The averaged network is in {' and '.join(map(str, targets.values()))}. Next:")
        console.show_command(
            *("mcld", "sample", "--weights", targets[widths[0]]),
            *("--source", "A.jpg", "--pose", "B.png", "--out", "C.png"),
        )
    console.show_result(
        {
            "widths": [
                {"width": width, "profile_error": error, "pipeline": targets.get(width)}
                for width, error in errors.items()
            ]
        }
    )
