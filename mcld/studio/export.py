"""What the page asked for as a command and as a recipe, which make the same picture."""

from __future__ import annotations

import json
import shlex
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml

from mcld.edit.options import DONORS
from mcld.edit.request import EditRequest
from mcld.machine.files import expand_home
from mcld.studio.networks import Networks, Weights
from mcld.studio.requests import PictureRequest, SamplingRequest, SequenceRequest

RECIPE = "recipe.yaml"
_ROOT = "mcld"
_GROUPS = ("sample", "scheduler", "edit", "prepare", "model")
"""The settings that a picture depends on, however they were set."""
_LEFT_OUT = (
    "sample.batch_size",
    "sample.workers",
    "sample.dataset",
    "sample.c2pa_certificate",
    "sample.c2pa_key",
)
"""Those of them that a picture does not depend on."""


def describe_command(
    request: EditRequest, asked: PictureRequest, weights: Weights, networks: Networks
) -> str:
    """The command that makes a picture, in the folder of its photos."""
    words = [_ROOT, "edit"]
    for name, value in _list_options(request).items():
        words += [word for one in value for word in (f"--{name.replace('_', '-')}", one)]
    words += ["--seed", str(request.seed)]
    if request.strength is not None:
        words += ["--strength", str(request.strength)]
    words += [*_list_sampling(asked, weights, networks), "--out", request.out.name]
    return shlex.join(words)


def describe_sequence(
    sources: Sequence[Path], asked: SequenceRequest, weights: Weights, networks: Networks
) -> str:
    """The command that makes a sequence, in the folder of its photos."""
    words = [_ROOT, "sample"]
    words += [word for source in sources for word in ("--source", source.name)]
    words += ["--pose", asked.motion, "--seed", str(asked.seed)]
    words += _list_sampling(asked, weights, networks)
    return shlex.join([*words, "--out", f"{sources[0].stem}-{asked.motion}.mp4"])


def write_recipe(
    requests: Sequence[EditRequest],
    asked: PictureRequest,
    weights: Weights,
    networks: Networks,
) -> bytes:
    """A zip archive of a recipe of some pictures, and of every file that it reads."""
    entries: list[dict[str, Any]] = []
    for request in requests:
        options = _list_options(request)
        entry: dict[str, Any] = {
            name: values if name in ("source", "recolor") else values[0]
            for name, values in options.items()
        }
        entry |= {"seed": request.seed, "out": request.out.name}
        if request.strength is not None:
            entry["strength"] = request.strength
        entries.append(entry)
    # Of many pictures, several are computed at once, or each in a thread, which rounds otherwise.
    alone = ["--set", "sample.batch_size=1"]
    if networks.device.type == "cpu":
        alone = ["--set", f"sample.threads={networks.threads}"]
    sampling = _list_sampling(asked, weights, networks)
    command = shlex.join([_ROOT, "edit", "--recipe", RECIPE, *sampling, *alone])
    text = f"# In this folder: {command}\n{yaml.safe_dump(entries, sort_keys=False)}"
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(RECIPE, text)
        for file in dict.fromkeys(file for request in requests for file in request.inputs()):
            if file.exists():  # a pose of the gallery is none
                archive.write(file, file.name)
    return buffer.getvalue()


def _list_options(request: EditRequest) -> dict[str, list[str]]:
    """What an edit is made of, as options of `mcld edit` have it; files by their names."""
    options: dict[str, list[str]] = {"source": [file.name for file in request.source]}
    for name in ("pose", *DONORS, "texture"):
        file: Path | None = getattr(request, name)
        if file is not None:
            options[name] = [file.name]
    if request.recolor:
        options["recolor"] = list(request.recolor)
    if request.keep is not None:
        options["keep"] = [request.keep]
    return options


def _list_sampling(asked: SamplingRequest, weights: Weights, networks: Networks) -> list[str]:
    """How is sampled, as options of a command."""
    words: list[str] = []
    if isinstance(asked, PictureRequest) and asked.fit_body:
        words.append("--fit-body")
    if weights.folder is not None:
        words += ["--weights", str(weights.folder.absolute())]
    for group in _GROUPS:
        settings = getattr(networks.settings, group)
        for name, field in type(settings).model_fields.items():
            value, usual = getattr(settings, name), field.default
            if isinstance(value, Path):
                value, usual = value.absolute(), expand_home(usual).absolute()
            if value != usual and f"{group}.{name}" not in _LEFT_OUT:
                text = str(value) if isinstance(value, Path) else json.dumps(value)
                words += ["--set", f"{group}.{name}={text}"]
    for name in ("steps", "guidance", "scheduler"):
        value = getattr(asked, name)
        if value is not None:
            words += [f"--{name}", str(value)]
    return words
