"""What the page asked for as a command and as a recipe, which make the same picture."""

from __future__ import annotations

import shlex
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
import yaml

from mcld.edit.options import DONORS
from mcld.edit.request import EditRequest
from mcld.settings import Override
from mcld.studio.networks import Networks, Weights
from mcld.studio.requests import PictureRequest, SamplingRequest, SequenceRequest

RECIPE = "recipe.yaml"
_ROOT = "mcld"


def name_result(request: EditRequest) -> str:
    """The name of a picture: whose it is, in which pose, and its seed."""
    pose = [request.pose.stem] if request.pose else []
    return "-".join([request.source[0].stem, *pose, f"seed-{request.seed or 0}"]) + ".png"


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
    words += [*_list_sampling(asked, weights, networks), "--out", name_result(request)]
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
        entry |= {"seed": request.seed, "out": name_result(request)}
        if request.strength is not None:
            entry["strength"] = request.strength
        entries.append(entry)
    # Of many pictures, several are computed at once, or each in a thread, which rounds otherwise.
    alone = ["--set", "sample.batch_size=1"]
    if networks.device.type == "cpu":
        threads = networks.settings.sample.threads or torch.get_num_threads()
        alone = ["--set", f"sample.threads={threads}"]
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
        words += ["--weights", str(weights.folder)]
    if networks.config is not None:
        words += ["--config", str(networks.config)]
    for override in networks.overrides:
        text = f"{override.key}={override.value}" if isinstance(override, Override) else override
        words += ["--set", text]
    for name in ("steps", "guidance", "scheduler"):
        value = getattr(asked, name)
        if value is not None:
            words += [f"--{name}", str(value)]
    return words
