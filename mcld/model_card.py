"""What goes to the Hugging Face hub beside a network's weights: a card, and code that finds mcld.

Diffusers takes classes that are not its own from files in the repository. Those that are written
here hold nothing but an import of mcld, so that one who has not installed it is told.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from mcld.errors import InputError
from mcld.machine.files import write_text

INDEX = "model_index.json"
"""What makes a folder a pipeline's."""
CARD = "README.md"
"""The model card's file."""
_PREFIX = "mcld__"
_TRAINING = "training.yaml"
_STABLE_DIFFUSION = "AutoencoderKL"
_IMPORT = '''"""{what} of mcld, which must be installed."""

try:
    from {module} import {names}
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        "this network needs the package mcld, which is not installed: pip install mcld"
    ) from None
'''


def write_hub_code(folder: Path) -> None:
    """Into a pipeline folder, write pipeline.py, and for each part of mcld's own its import.

    In its index the parts are then named as these files are, which `name_real_modules` undoes.
    """
    index: dict[str, Any] = json.loads((folder / INDEX).read_text("utf-8"))
    classes: defaultdict[str, set[str]] = defaultdict(set)
    for module, name in _list_parts(index).values():
        classes[module].add(name)
    for part, (module, name) in _list_parts(index).items():
        stem = module.replace(".", "__")
        # Of one module one file, the same for all its parts: Python keeps the first by its name.
        names = ", ".join(sorted(classes[module]))
        code = _IMPORT.format(what=f"Part {module}", module=module, names=names)
        write_text(folder / part / f"{stem}.py", code)
        index[part] = [stem, name]
    index.pop("_name_or_path", None)  # where it lay on this machine
    # What is a list is taken for a part.
    index["focal_conditions"] = ",".join(index["focal_conditions"])
    write_text(folder / INDEX, json.dumps(index, indent=2, sort_keys=True) + "\n")
    code = _IMPORT.format(what="The pipeline", module="mcld.pipeline", names="MCLDPipeline")
    write_text(folder / "pipeline.py", code)


def name_real_modules(index: dict[str, Any]) -> dict[str, Any]:
    """A pipeline's index with mcld's parts by their modules, not by the files on the hub."""
    return {
        key: [value[0].replace("__", "."), *value[1:]]
        if isinstance(value, (list, tuple)) and value and str(value[0]).startswith(_PREFIX)
        else value
        for key, value in index.items()
    }


def _list_parts(index: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Part -> (module, class), of mcld's own."""
    return {
        part: (value[0], value[1])
        for part, value in index.items()
        if isinstance(value, list) and value and str(value[0]).startswith("mcld.")
    }


def write_card(
    folder: Path, repo_id: str, config: dict[str, Any], evaluation: Path | None = None
) -> None:
    """Write README.md, the model card: use, method, data, licence, figures where there are any.

    config: the pipeline's. evaluation: folder that `mcld evaluate` wrote, with metrics.json.

    Raises InputError when that cannot be read.
    """
    origin = Path(str(config.get("_name_or_path") or ""))
    train = _read_training(origin)
    is_known = "pretrained" in train and not train.get("start_from")
    if is_known and train["pretrained"]:
        licence, told = "creativeml-openrail-m", _DERIVED
    elif not is_known and _STABLE_DIFFUSION in (config.get("vae") or ()):
        licence, told = "other", _PERHAPS_DERIVED
    else:
        licence, told = "other", _OWN
    facts = {
        "library_name": "diffusers",
        "pipeline_tag": "image-to-image",
        "license": licence,
        "tags": ["mcld", "person-image-synthesis", "pose-transfer", "arxiv:2503.15686"],
    }
    text = _CARD.format(
        facts=yaml.safe_dump(facts, sort_keys=False),
        id=repo_id,
        steps=config.get("num_inference_steps"),
        guidance=config.get("guidance_scale"),
        face=config.get("face_embedder"),
        data=_describe_data(train),
        metrics=_describe_metrics(evaluation) if evaluation else _NO_METRICS,
        licence=told,
    )
    write_text(folder / CARD, text)


def _read_training(origin: Path) -> dict[str, Any]:
    """The settings `train` in the record of the folder that the network came from; {} of none."""
    try:
        train = yaml.safe_load((origin / _TRAINING).read_text("utf-8"))["settings"]["train"]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return {}
    return train if isinstance(train, dict) else {}


def _describe_data(train: dict[str, Any]) -> str:
    """What the record of training says, without paths."""
    try:
        name, size = Path(train["dataset"]).name, f"{train['height']}x{train['width']}"
        seen = f"{train['images']:,}"
    except (ValueError, KeyError, TypeError):
        return "What it learned from is not recorded. **Whoever uploads it, say so here.**"
    return (
        f"It was trained by `mcld train` at {size} on a dataset folder called `{name}`; it saw"
        f" {seen} pictures in the last training. **Whoever uploads it, say here what they show,"
        " and under which licence they are.**"
    )


def _describe_metrics(evaluation: Path) -> str:
    path = evaluation / "metrics.json"
    try:
        found = json.loads(path.read_text("utf-8"))
        values = found["values"]
        names = sorted({name for scores in values.values() for name in scores})
        rows = [
            [size, *(_show(scores.get(name)) for name in names)] for size, scores in values.items()
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} cannot be read: give the folder that `mcld evaluate` wrote"
        ) from error
    table = [["size", *names], ["---"] * (len(names) + 1), *rows]
    lines = [f"| {' | '.join(row)} |" for row in table]
    told = f"By `mcld evaluate`, on {Path(found.get('dataset', '')).name}."
    return "\n".join([told, "", *lines])


def _show(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value or "-")


_NO_METRICS = "Not measured, or not by whoever uploaded it: `mcld evaluate`."
_DERIVED = (
    "By the record of its training it began with Stable Diffusion's weights, which are under the"
    " CreativeML OpenRAIL-M: the uses that its attachment A forbids are forbidden here, too. What"
    " it learned from may forbid more."
)
_PERHAPS_DERIVED = (
    "Its autoencoder is of the kind that Stable Diffusion's is; whether it began with Stable"
    " Diffusion's weights is not recorded. If it did, the CreativeML OpenRAIL-M holds here, too."
    " **Whoever uploads it, say so here**, and above, in `license`."
)
_OWN = "Not stated. **Whoever uploads it, say so here**, and above, in `license`."
_CARD = """---
{facts}---

# {id}

A person's photo and a pose in, the same person in that pose out: a network of
[MCLD](https://arxiv.org/abs/2503.15686), Multi-focal Conditioned Latent Diffusion (CVPR 2025), in
the implementation mcld, which must be installed to use it.

## Use

    mcld sample --source A.jpg --pose B.jpg --out out.png --weights {id}

From Python, as a pipeline of diffusers, with photos, texture maps and poses that are prepared:

    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(
        "{id}", custom_pipeline="{id}", trust_remote_code=True
    )

It was made for num_inference_steps={steps}, guidance_scale={guidance}, and knows faces by {face}.

## Method

The photo is taken apart into conditions that do not depend on the pose: the body's texture map,
unrolled, which runs through a second UNet; embeddings of photo and texture map; and the face. The
target pose, a DensePose IUV map, enters at the first convolution.

## Data

{data}

## Figures

{metrics}

## Intended use

Pictures of people who agreed to it, in new poses and clothes. Not for pictures that deceive about
somebody, nor to say who somebody is. What the photo does not show is guessed.

## Licence

{licence}
"""
