"""Options that several commands share, and options that are made from settings."""

import re
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from typer.core import TyperCommand, TyperGroup

from mcld.errors import SettingsError, WeightsError
from mcld.machine.processes import count_processes
from mcld.machine.yaml_file import NULL
from mcld.networks import places
from mcld.networks.hub import is_hub_id
from mcld.settings import (
    EvaluateSettings,
    Override,
    SampleSettings,
    describe_allowed,
    known_settings,
)
from mcld_cli import console

HOW = "How"
"""Help panel of the options that say how pictures are sampled."""

Options = Mapping[str, Parameter]
"""Options of a command, each by the key under which the command gets its value."""
Values = dict[str, Any]
"""The values of the options that were given, by those keys."""

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="YAML", help="Settings file, such as configs/mannequin.yaml."),
]

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one setting, such as train.batch_size=8. May be repeated.",
    ),
]


class _PlainFlags:
    """Shows no type of flags in the help: `--sheet <bool>` looks as if it took a value."""

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_bool_flag", False):
                param.metavar = ""
        return params


class Command(_PlainFlags, TyperCommand):
    """What every command is made of."""


class Group(_PlainFlags, TyperGroup):
    """What every group of commands is made of."""


def check_weights(folder: Path | None) -> Path | None:
    """The folder of a network, or its id on the hub.

    Raises WeightsError for what is neither, and for a folder without a network.
    """
    if folder is not None and not folder.is_dir() and (folder.exists() or not is_hub_id(folder)):
        what = "is no folder" if folder.exists() else "does not exist"
        raise WeightsError(
            f"--weights {folder} {what}: give a pipeline folder, one with the four files of the"
            " authors' layout, or an id on the Hugging Face hub, such as org/name"
        )
    if folder is not None and folder.is_dir():
        places.check_weights(folder)
    return folder


Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        callback=check_weights,
        help="A pipeline folder, or one with the four files of the authors' layout; or the id of"
        " one on the Hugging Face hub, org/name. (default: the network that came with mcld)",
        rich_help_panel=HOW,
    ),
]


def option(name: str, kind: Any, **details: Any) -> Parameter:
    """The parameter of a function that Typer takes for `--name`, an option that may be left out.

    kind: the type of its value; details: as `typer.Option` takes them.
    """
    declared = typer.Option(f"--{name.replace('_', '-')}", **details)
    return Parameter(
        name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, declared]
    )


def setting_options(panel: str | None = None, **keys: str) -> dict[str, Parameter]:
    """Options that change settings: `seed="sample.seed"` makes `--seed`.

    Each is described as its setting is; `load_settings` checks the values. panel: of the help.
    """
    settings = known_settings()
    _OPTION_OF.update({key: f"--{name.replace('_', '-')}" for name, key in keys.items()})
    return {key: _setting_option(name, settings[key], panel) for name, key in keys.items()}


_OPTION_OF: dict[str, str] = {}
"""Settings that have an option of their own -> that option, the same in every command."""


def _setting_option(name: str, field: FieldInfo, panel: str | None) -> Parameter:
    kind: Any = field.annotation
    if get_origin(kind) in (Union, UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    text, _, default = str(field.description).removesuffix(".").partition("; null: ")
    text += "."
    if get_origin(kind) is Literal:
        allowed = describe_allowed(field).removesuffix(f" or {NULL}")
        text += f" {allowed[0].upper()}{allowed[1:]}."
        kind = str  # the choices are checked by `load_settings`, in its words
    if kind is not bool:
        text += f" (default: {default or field.default})"
    metavar = {bool: None, int: "N", float: "X", Path: "DIR"}.get(kind, "NAME")
    return option(name, kind, metavar=metavar, help=text, rich_help_panel=panel)


def with_options(**groups: Options) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take a group of options as one parameter, a dictionary of what was given.

    Typer reads the options of a command off its signature. In it, each parameter that is named in
    `groups` is replaced by the options of its group.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        plain = signature(command)
        parameters: list[Parameter] = []
        for name, parameter in plain.parameters.items():
            parameters += groups[name].values() if name in groups else [parameter]

        @wraps(command)
        def run(**values: Any) -> None:
            for name, options in groups.items():
                given = {key: values.pop(option.name) for key, option in options.items()}
                values[name] = {key: value for key, value in given.items() if value is not None}
            command(**values)

        run.__signature__ = plain.replace(parameters=parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def answers_in_json(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --json: see `console.show_result`."""
    plain = signature(command)
    flag = option("json", bool, help="Print the result as JSON; all else on stderr.")

    @wraps(command)
    def run(**values: Any) -> None:
        console.answer_in_json(bool(values.pop("json")))
        command(**values)

    parameters = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in plain.parameters.values()]
    run.__signature__ = plain.replace(parameters=[*parameters, flag])  # type: ignore[attr-defined]
    return run


def size_option() -> Options:
    """--size, of which `make_overrides` makes a height and a width."""
    declared = option(
        "size",
        str,
        metavar="HxW",
        help="Height and width the network works at, such as 512x352. (default: as it was trained)",
        rich_help_panel=HOW,
    )
    return {"size": declared}


SAMPLING: Options = {
    **setting_options(
        HOW,
        seed="sample.seed",
        steps="sample.num_inference_steps",
        guidance="sample.guidance_scale",
        scheduler="sample.scheduler",
        fast="sample.fast",
    ),
    **size_option(),
    **setting_options(
        HOW,
        dtype="sample.dtype",
        device="sample.device",
        compile="sample.compile",
        low_memory="sample.low_memory",
    ),
}
"""How pictures are sampled."""


def reading_options(panel: str | None = None) -> dict[str, Parameter]:
    """How photos are read that are not prepared."""
    return setting_options(panel, pose_estimator="prepare.pose_estimator", person="prepare.person")


def make_overrides(values: Values, sets: list[str] | None) -> list[str | Override]:
    """Settings that were given as options, after those of --set: an option of its own wins.

    Raises SettingsError for options of `SAMPLING` that cannot be, or cannot be together.
    """
    chosen_by_fast = {"sample.num_inference_steps", "sample.scheduler"}
    if "sample.fast" in values and chosen_by_fast & values.keys():
        raise SettingsError("--fast chooses --steps and --scheduler: leave them out")
    settings = dict(values)
    if "size" in settings:
        settings["sample.height"], settings["sample.width"] = _parse_size(settings.pop("size"))
    given = [Override(_OPTION_OF.get(key, "--size"), key, v) for key, v in settings.items()]
    return [*(sets or []), *given]


def check_device(options: SampleSettings | EvaluateSettings, processes: int | None = None) -> None:
    """Raise SettingsError for a device that cannot be used here, which PyTorch alone can tell.

    Of several processes each tells of its own: a look from here would occupy the first GPU.
    """
    if processes or count_processes() > 1:
        return
    if isinstance(options, SampleSettings) and options.low_memory:
        from mcld.sampling.device import choose_device

        choose_device(options)
    elif options.device not in (None, "cpu"):
        from mcld.sampling.device import open_device

        group = "sample" if isinstance(options, SampleSettings) else "evaluate"
        open_device(options.device, f"{group}.device")


def check_signing(options: SampleSettings) -> None:
    """Raise an MCLDError where pictures are to be signed, and cannot be."""
    from mcld.machine.signing import open_signer

    open_signer(options.c2pa_certificate, options.c2pa_key)


def _parse_size(text: str) -> tuple[str, str]:
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found or any(int(side) < 8 or int(side) % 8 for side in found.groups()):
        raise SettingsError(
            f"--size {text}: give height and width in pixels, multiples of 8, such as 512x352"
        )
    return found[1], found[2]


def demand(options: Mapping[str, object], what: str) -> None:
    """Raise SettingsError, which begins with `what`, for options that were not given."""
    missing = [name for name, value in options.items() if value is None]
    if missing:
        verb = "are" if len(missing) > 1 else "is"
        raise SettingsError(f"{what}: {' and '.join(missing)} {verb} missing")


def refuse(options: Mapping[str, object], why: str) -> None:
    """Raise SettingsError, which ends with `why`, for options that were given."""
    for name, value in options.items():
        if value is not None and value is not False:
            raise SettingsError(f"{name} {why}")
