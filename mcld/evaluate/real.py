"""The features of the real pictures that generated ones are compared with as a set."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from accelerate.utils import gather_object

from mcld.dataset.pictures import READING, read_image
from mcld.dataset.results import RESULT_SIZES
from mcld.errors import InputError, MCLDError
from mcld.evaluate.features import FeatureFile, FeatureSet
from mcld.evaluate.fid import FeatureSums, TrainingPictures
from mcld.evaluate.metric import Features, hash_content
from mcld.evaluate.pairs import Pictures, Pixels, is_smaller, make_photo, see_as_network
from mcld.evaluate.protocol import Protocol
from mcld.machine.processes import run_on_main, take_share

if TYPE_CHECKING:
    from mcld.evaluate.request import EvaluationRequest
    from mcld.evaluate.run import Evaluator, _Size

Key = tuple[str, str]
"""Name of the features, folder of the size."""


def find_real_features(
    evaluator: Evaluator, request: EvaluationRequest, sizes: Sequence[_Size]
) -> dict[Key, FeatureSet]:
    """The features of the real pictures at some sizes, from the dataset's cache where they are.

    What cannot be had is left out, and why is said. All processes call this together.
    """
    wanted: dict[Key, Features] = {}
    rows_wanted: set[Key] = set()
    for at in sizes:
        for metric in at.sets:
            key = (metric.features.name, at.folder)
            wanted[key] = evaluator.features[metric.features.name]
            rows_wanted |= {key} if metric.needs_rows else set()
    if not wanted:
        return {}
    split = evaluator.protocol.real
    try:
        found = run_on_main(evaluator.state, lambda: TrainingPictures.find(request.dataset, split))
    except InputError as error:
        evaluator.leave_out_sets(
            sizes, f"it needs the {evaluator.protocol.real_name} pictures: {error}"
        )
        return {}
    paths = {
        key: found.cache_file(key[1], _name_sums(evaluator, features), features.name)
        for key, features in wanted.items()
    }
    known = {
        key: sums
        for key, path in paths.items()
        if (sums := run_on_main(evaluator.state, partial(_read_sums, path, found, wanted[key])))
    }
    unknown = {key: wanted[key] for key in wanted if key not in known or key in rows_wanted}
    files = {
        key: FeatureFile(
            request.dataset / "cache",
            f"{features.name}-{key[1]}-{_make_key(evaluator, features)}",
            features.width,
            evaluator.say,
        )
        for key, features in unknown.items()
    }
    unread = _extract(evaluator, found, unknown, files)
    for file in files.values():
        file.share(gather_object([file.folder]))
    names = dict(zip(found.files(), found.list_names(), strict=True))
    own = take_share(found.files(), evaluator.state)
    real: dict[Key, FeatureSet] = {}
    for key in wanted:
        if key not in known:
            readable = [names[path] for path in own if str(path) not in unread]
            sums = files[key].sum(readable, evaluator.sums_device).reduce(evaluator.state)
            if sums.count == len(names):
                _write_sums(evaluator, sums, paths[key])
            known[key] = sums
        readable = [name for path, name in names.items() if str(path) not in unread]
        real[key] = FeatureSet(known[key], files.get(key), readable)
    _tell_sizes(evaluator, request, sizes, found, real, unread)
    return real


def _make_key(evaluator: Evaluator, features: Features) -> str:
    """What the features of photos depend on, beside the files and the size."""
    protocol = evaluator.protocol
    return hash_content([READING, features.make_key(protocol, protocol.list_photo_knobs())])


def _name_sums(evaluator: Evaluator, features: Features) -> str:
    """What tells sums apart from those of other networks and protocols, beside the pictures.

    Where photos are made as before protocols had names, what was kept then is taken.
    """
    weights = next(iter(features.weights.values()), "")
    plain = Protocol()
    if features.name == "inception" and (
        evaluator.protocol.list_photo_knobs() == plain.list_photo_knobs()
        and evaluator.protocol.real == plain.real
    ):
        return weights
    return f"{weights} {evaluator.protocol.real} {_make_key(evaluator, features)}"


def _read_sums(path: Path, found: TrainingPictures, features: Features) -> FeatureSums | None:
    return FeatureSums.read(path, len(found.stamps), features.width)


def _extract(
    evaluator: Evaluator,
    found: TrainingPictures,
    wanted: dict[Key, Features],
    files: dict[Key, FeatureFile],
) -> dict[str, str]:
    """Extract the features that are not kept; return which pictures cannot be read, and why."""
    if not wanted:
        return {}
    names = dict(zip(found.files(), found.list_names(), strict=True))
    read = partial(_read_missing, evaluator.protocol, wanted, files, names)
    unread: dict[str, str] = {}
    doing = f"{evaluator.protocol.real_name} pictures".capitalize()
    try:
        for batch in evaluator.work_in_batches(doing, list(names), read, unread):
            for folder in dict.fromkeys(folder for _, folder in wanted):
                some = [(names[path], *at[folder]) for path, at in batch if folder in at]
                pictures = Pictures([picture for _, picture, _ in some], evaluator.device)
                for key, features in wanted.items():
                    if key[1] == folder and any(name not in files[key] for name, *_ in some):
                        rows = features.extract(pictures).float().cpu().numpy()
                        marks = [small for *_, small in some]
                        files[key].add([name for name, *_ in some], rows, marks)
    finally:
        for file in files.values():
            file.close()
    everybodys: dict[str, str] = {}
    for theirs in gather_object([unread]):
        everybodys |= theirs
    return everybodys


def _read_missing(
    protocol: Protocol,
    wanted: dict[Key, Features],
    files: dict[Key, FeatureFile],
    names: dict[Path, str],
    path: Path,
) -> dict[str, tuple[Pixels, bool]]:
    """A picture at the sizes at which a network has not seen it, and whether it was enlarged."""
    folders = dict.fromkeys(key[1] for key in wanted if names[path] not in files[key])
    if not folders:
        return {}
    image = read_image(path)
    return {
        folder: (
            see_as_network(make_photo(image, folder, protocol), folder, protocol),
            is_smaller(image, RESULT_SIZES[folder]),
        )
        for folder in folders
    }


def _write_sums(evaluator: Evaluator, sums: FeatureSums, path: Path) -> None:
    if not evaluator.state.is_main_process:
        return
    try:
        sums.write(path)
    except MCLDError as error:
        real = evaluator.protocol.real_name
        evaluator.say(f"{error}: the next run will have to see all {real} pictures again")


def _tell_sizes(
    evaluator: Evaluator,
    request: EvaluationRequest,
    sizes: Sequence[_Size],
    found: TrainingPictures,
    real: dict[Key, FeatureSet],
    unread: dict[str, str],
) -> None:
    """Note in the scores which pictures were taken; leave out what has too few."""
    for at in sizes:
        for metric in at.sets:
            taken = real[metric.features.name, at.folder]
            at.scores.training = {
                "listed": found.listed,
                "used": taken.count,
                "enlarged": taken.sums.enlarged,
            }
            at.scores.unread = unread
            if taken.count < metric.fewest:
                where = request.dataset / found.split
                reason = f"{where} has fewer than {metric.fewest} pictures that can be read"
                evaluator.leave_out(metric.name, reason, at.scores.left_out)
