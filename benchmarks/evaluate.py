"""How fast `mcld evaluate` is, beside the authors' code."""

from __future__ import annotations

import itertools
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from mcld.dataset.layout import DatasetLayout, flat_name
from mcld.dataset.pictures import read_image, write_jpeg, write_png
from mcld.dataset.results import RESULT_SIZES, result_name
from mcld.errors import InputError
from mcld.networks.names import TORCHVISION

METRICS = ("psnr", "ssim", "ssim_256", "lpips", "fid")
"""What both measure; the authors' faces want insightface's weights."""
_PHOTO = (1101, 750)
_PICTURES = 3
"""Of each person, each shown in the pose of each other: DeepFashion's truths serve 2.7 pairs."""
_OTHERS = 1000
"""The first number of the people to test on."""

_AUTHORS = """
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
sys.path.insert(0, ".")
for name in ("insightface.app", "pandas"):
    sys.modules[name] = module_from_spec(ModuleSpec(name, None))
sys.modules["insightface.app"].FaceAnalysis = None
code = open("evaluate.py", encoding="utf-8").read().replace("'cuda'", "'cpu'")
code, _, _ = code.partition("    # set the metric for faces")
exec(compile(code, "evaluate.py", "exec"), {"__name__": "__main__"})
"""
"""Runs their script as it is, but on the CPU, without its faces and what it only imports."""


class _Seconds(NamedTuple):
    """Of a command and the processes it starts."""

    processor: float
    clock: float


def measure(checkout: Path, pairs: int, photos: int) -> Iterator[tuple[str, float]]:
    """Seconds to evaluate generated pictures at both sizes, by the authors' code and by ours.

    checkout: a checkout of jqliu09/MCLD. Weights are random: of the networks only the time counts.
    Raises InputError where the checkout holds no evaluate.py, and what they print where it fails.
    """
    if not (checkout / "evaluate.py").is_file():
        raise InputError(f"{checkout} is no checkout of jqliu09/MCLD: it has no evaluate.py")
    with TemporaryDirectory() as name:
        folder = Path(name)
        _write_weights(folder / "torch" / "hub" / "checkpoints")
        _write_pictures(folder, pairs, photos)
        theirs = [sys.executable, "-c", _AUTHORS, "--gt_path", f"{folder}/truth"]
        theirs += ["--img_path", f"{folder}/first", "--training_path", f"{folder}/dataset"]
        ours = [sys.executable, "-m", "mcld_cli", "evaluate", "--dataset", f"{folder}/dataset"]
        ours += ["--set", f"evaluate.metrics={json.dumps(METRICS)}", "--device", "cpu"]
        commands = {
            "the authors'": (theirs, checkout),
            "ours, nothing kept": ([*ours, "--save-path", f"{folder}/first"], None),
            "ours, a second folder": ([*ours, "--save-path", f"{folder}/second"], None),
            "ours, nothing new": ([*ours, "--save-path", f"{folder}/second"], None),
        }
        first: _Seconds | None = None
        for what, (command, where) in commands.items():
            taken = _time(command, folder, where)
            first = first or taken
            for kind, seconds, of in zip(taken._fields, taken, first, strict=True):
                yield f"{what}: {kind} seconds", round(seconds, 1)
                yield f"{what}: times as fast, {kind}", round(of / seconds, 2)


def _time(command: list[str], folder: Path, where: Path | None) -> _Seconds:
    variables = {**os.environ, "TORCH_HOME": str(folder / "torch")}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=where, env=variables, capture_output=True, text=True)
    clock, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise InputError(f"a command failed: {done.stderr.strip()[-400:]}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _Seconds(used, clock)


def _write_weights(folder: Path) -> None:
    import torch
    from torchvision.models import alexnet, inception_v3

    torch.manual_seed(0)
    folder.mkdir(parents=True)
    networks = {"inception": inception_v3(init_weights=False), "alexnet": alexnet()}
    for name, network in networks.items():
        torch.save(network.state_dict(), folder / TORCHVISION[name])


def _write_pictures(folder: Path, pairs: int, photos: int) -> None:
    """A dataset of photos, and two folders of generated pictures beside the authors' truth."""
    from mcld.evaluate.pairs import resize
    from mcld.mannequin.world import identity, pose, render

    layout = DatasetLayout(folder / "dataset")
    people = -(-pairs // (_PICTURES * (_PICTURES - 1)))
    names: dict[str, list[str]] = {"train": [], "test": []}
    for split, count in (("train", photos), ("test", people * _PICTURES)):
        for number in range(count):
            person, picture = divmod(number, _PICTURES)
            person += _OTHERS * (split == "test")
            image, _ = render(identity(0, person), pose(0, person, picture), _PHOTO)
            path = f"WOMEN/Tees_Tanks/id_{person:08d}/01_{picture}_front.jpg"
            names[split].append(flat_name(path))
            write_jpeg(layout.image(split, Path(names[split][-1]).stem), image)
        layout.write_names(split, names[split])
    listed = [
        pair
        for start in range(0, len(names["test"]), _PICTURES)
        for pair in itertools.permutations(names["test"][start : start + _PICTURES], 2)
    ][:pairs]
    layout.write_pairs("test", listed)
    for source, target in ((Path(name).stem for name in pair) for pair in listed):
        photo = {name: read_image(layout.image("test", name)) for name in (source, target)}
        for size, shape in RESULT_SIZES.items():
            truth, other = (resize(photo[name], shape) for name in (target, source))
            made = {"truth": truth, "first": truth // 2 + other // 2, "second": truth // 2}
            for results, image in made.items():
                write_png(folder / results / size / result_name(source, target), image)
