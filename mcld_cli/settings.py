"""`mcld settings`: what can be set, how it is set now, and by what."""

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from textwrap import fill
from typing import Annotated, Literal

import typer
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.text import Text
from rich.tree import Tree

from mcld.errors import SettingsError
from mcld.settings import (
    Settings,
    describe_allowed,
    find_settings,
    known_settings,
    trace_settings,
)
from mcld_cli import console
from mcld_cli.options import Config, Overrides


def settings(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="A group or a setting, such as train or train.seed; else all."
        ),
    ] = None,
    format_: Annotated[
        Literal["text", "yaml", "json-schema", "markdown"],
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="text; yaml, a file for --config; json-schema, by which editors complete such"
            " files; markdown, the page docs/settings.md. (default: text)",
            show_default=False,
        ),
    ] = "text",
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Show all settings: values, defaults, limits, and where a value comes from.

    Values come from the defaults, then the file of --config, then MCLD_*
    variables such as MCLD_TRAIN__SEED=1, then --set; the last one counts.

    Examples:

      mcld settings train --config configs/mannequin.yaml

      mcld settings train.learning_rate

      mcld settings --format yaml > mine.yaml

      mcld settings --format json-schema > settings.schema.json
    """
    if name and format_ in ("json-schema", "markdown"):
        raise SettingsError(f"--format {format_} is of all settings: leave {name} out")
    fields = find_settings(name) if name else known_settings()
    values, origins = trace_settings(config, overrides)
    if console.show_result({"settings": _list_values(fields, values, origins)}):
        return
    if format_ == "text":
        _show_text(fields, values, origins)
    elif format_ == "yaml":
        typer.echo("\n".join(_write_yaml(fields, values, origins)))
    elif format_ == "json-schema":
        typer.echo(json.dumps(Settings.model_json_schema(), indent=2))
    else:
        typer.echo("\n".join(_write_page(fields)))


def _list_values(
    fields: Mapping[str, FieldInfo], now: Settings, origins: dict[str, str]
) -> dict[str, dict[str, object]]:
    """Each setting's value, and what it comes from."""
    values = now.model_dump(mode="json")
    return {
        key: {"value": values[group][name], "from": origins.get(key, "default")}
        for key in fields
        for group, _, name in [key.partition(".")]
    }


def _by_group(fields: Mapping[str, FieldInfo]) -> Iterator[tuple[str, str, dict[str, FieldInfo]]]:
    """Each group's name, what it is about, and its fields by their names without the group."""
    for group, items in groupby(fields.items(), key=lambda item: item[0].partition(".")[0]):
        about = type(Settings.model_fields[group].default).__doc__ or ""
        yield group, about, {key.partition(".")[2]: field for key, field in items}


def _write_values(group: BaseModel) -> dict[str, str]:
    """Each value of a group as a settings file and --set take it, on one line."""
    return {
        name: yaml.safe_dump(value, default_flow_style=True, width=float("inf"))
        .removesuffix("...\n")
        .strip()
        for name, value in group.model_dump(mode="json").items()
    }


def _describe(field: FieldInfo) -> str:
    allowed = describe_allowed(field)
    return f"{field.description} {allowed[0].upper()}{allowed[1:]}."


def _show_text(fields: Mapping[str, FieldInfo], now: Settings, origins: dict[str, str]) -> None:
    for group, about, inner in _by_group(fields):
        tree = Tree(Text.assemble((group, "bold"), f": {about}"))
        values = _write_values(getattr(now, group))
        defaults = _write_values(type(Settings.model_fields[group].default).model_construct())
        for name, field in inner.items():
            origin = origins.get(f"{group}.{name}")
            source = f"from {origin}; default: {defaults[name]}" if origin else "default"
            value = (f"{name}: {values[name]}", "bold" if origin else "")
            tree.add(Text.assemble(value, f" ({source})\n", _describe(field)))
        console.show_tree(tree)


def _write_yaml(
    fields: Mapping[str, FieldInfo], now: Settings, origins: dict[str, str]
) -> Iterator[str]:
    for group, about, inner in _by_group(fields):
        yield f"# {about}"
        yield f"{group}:"
        values = _write_values(getattr(now, group))
        defaults = _write_values(type(Settings.model_fields[group].default).model_construct())
        for name, field in inner.items():
            origin = origins.get(f"{group}.{name}")
            source = f" From {origin}; default: {defaults[name]}." if origin else ""
            text = " ".join(f"{_describe(field)}{source}".split())
            yield fill(text, 98, initial_indent="  # ", subsequent_indent="  # ")
            yield f"  {name}: {values[name]}"
        yield ""


def _write_page(fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    yield _INTRODUCTION
    for group, about, inner in _by_group(fields):
        yield f"\n## {group}\n\n{about}\n"
        yield "| setting | default | takes | what it is |\n|---|---|---|---|"
        defaults = _write_values(type(Settings.model_fields[group].default).model_construct())
        for name, field in inner.items():
            yield (
                f"| `{group}.{name}` | `{defaults[name]}` | {describe_allowed(field)} "
                f"| {field.description} |"
            )


_INTRODUCTION = """\
<!-- Written by `mcld settings --format markdown`. -->
# Settings

defaults < YAML file (`--config`) < environment (`MCLD_TRAIN__LEARNING_RATE=2e-5`) < command line
(`--set train.learning_rate=2e-5`); options of a command's own, such as `--seed`, come last. An
unknown key, a wrong type or an impossible value stops a command before it starts, in one line that
says what is allowed.

    mcld settings train --config configs/mannequin.yaml

shows what the settings of a group are now, and where each value comes from. `--format yaml` writes
them as a file for `--config`, with their descriptions as comments.

For an editor that knows YAML schemas (VS Code with the YAML extension, and whatever else runs
yaml-language-server) write a schema once,

    mcld settings --format json-schema > settings.schema.json

and begin a settings file beside it with the line

    # yaml-language-server: $schema=settings.schema.json

Keys and values are then completed, described and checked while you type. The schema knows settings
in their groups, not the dotted keys that a settings file may also have (`train.seed: 3`), nor
recipes."""
