"""Scoring a folder of results by the field's protocol."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import numpy as np
import torch
from accelerate.utils import gather_object
from accelerate.utils import reduce as reduced
from PIL import Image
from torchmetrics.image.fid import FrechetInceptionDistance

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image
from mcld.dataset.results import RESULT_SIZES, SETTINGS_FILE, result_name
from mcld.distributed import PATIENCE, on_cpu
from mcld.errors import InputError, MCLDError, SettingsError
from mcld.estimators.face import InsightFace
from mcld.evaluate.metrics import psnr, ssim, ssim_256
from mcld.evaluate.networks import FEATURES, LPIPS, Inception, torchvision_file
from mcld.evaluate.scores import Scores, SizeScores
from mcld.files import written_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from accelerate import PartialState
    from numpy.typing import NDArray

    from mcld.settings import EvaluateSettings, Settings

_T = TypeVar("_T")
_R = TypeVar("_R")
_Compared = tuple["NDArray[np.uint8]", "NDArray[np.uint8]", dict[str, float]]
"""A result, its truth, and the metrics of both."""
_IN_THREADS = {"psnr": psnr, "ssim": ssim, "ssim_256": ssim_256}
FACE_PACK = "buffalo_s"
FACE_DETECTION = (512, 352)
"""Size at which faces are looked for, as in the authors' evaluation."""
FACE_SIZE = "256"
"""Folder of the pictures whose faces are compared."""
_FEWEST = 2
"""Pictures that a Fréchet distance needs."""


@dataclass(frozen=True)
class EvaluationRequest:
    """What to score."""

    name: str
    """What the results are called in tables."""
    dataset: Path
    """Its test pairs say which pictures there should be, and its JPEGs are the truth."""
    save_path: Path
    """A folder of results."""
    truth_path: Path | None = None
    """A folder of true pictures with the names of the results, instead of the dataset's; it may
    have folders 256 and 512 as the results do."""

    def truth(self, folder: str, name: str, target: str) -> Path:
        """The true picture of a result. folder: 256 or 512; target: its stem in the dataset."""
        if self.truth_path is None:
            return DatasetLayout(self.dataset).image("test", target)
        return self.truths(folder) / name

    def truths(self, folder: str) -> Path:
        """Where the true pictures of a size lie; only with a `truth_path`."""
        assert self.truth_path is not None
        own = self.truth_path / folder
        return own if own.is_dir() else self.truth_path


class Evaluator:
    """Scores folders of results; loads the networks that the metrics need once.

    A metric whose network is not on this machine is left out, and `left_out` says why. Under
    `accelerate launch` each process scores its share.

    say: told, in one line each, what the user should know; on_picture: called with (what is being
    done, pictures done, pictures to do) of the main process's share; both there only.

    Raises SettingsError for a device that is not there.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        say: Callable[[str], None],
        on_picture: Callable[[str, int, int], None],
    ) -> None:
        from accelerate import PartialState

        self.state: PartialState = PartialState(cpu=on_cpu(), timeout=PATIENCE)
        self.options: EvaluateSettings = settings.evaluate
        self.device = _device(self.options.device, self.state)
        self.say, self.on_picture = (
            (say, on_picture) if self.state.is_main_process else (_ignore, _ignore)
        )
        self.left_out: dict[str, str] = {}
        pretrained = settings.sample.pretrained
        insightface = settings.prepare.insightface_root
        self.lpips = self._network(
            "lpips", lambda: LPIPS(torchvision_file("alexnet", pretrained)).to(self.device)
        )
        self.inception = self._network(
            "fid", lambda: Inception(torchvision_file("inception", pretrained)).to(self.device)
        )
        self.faces = self._network(
            "face", lambda: InsightFace(insightface, FACE_PACK, str(self.device), FACE_DETECTION)
        )

    def _network(self, metric: str, load: Callable[[], Any]) -> Any:
        if metric not in self.options.metrics:
            return None
        try:
            return load()
        except MCLDError as error:
            self.left_out[metric] = str(error)
            self.say(f"{metric} is left out: {error}")
            return None

    def score(self, request: EvaluationRequest) -> Scores:
        """Score one folder of results.

        Raises InputError when nothing in it can be scored: it is missing, empty, or of another
        split.
        """
        _check_split(request)
        folders = [name for name in RESULT_SIZES if (request.save_path / name).is_dir()]
        if not folders:
            there = (
                "is no folder" if not request.save_path.is_dir() else "has neither 256/ nor 512/"
            )
            raise InputError(f"{request.save_path} {there}: `mcld sample --split test` fills one")
        scores = Scores(
            request.name, request.save_path, {}, dict(self.left_out), request.truth_path
        )
        for folder in folders:
            pairs = listed_pairs(request, folder)
            scores.sizes[folder] = self._score_size(request, folder, pairs, scores.left_out)
        return scores

    def _score_size(
        self,
        request: EvaluationRequest,
        folder: str,
        pairs: dict[str, str],
        left_out: dict[str, str],
    ) -> SizeScores:
        there = {entry.name for entry in os.scandir(request.save_path / folder)}
        scores = SizeScores(RESULT_SIZES[folder], len(pairs))
        scores.missing = [name for name in pairs if name not in there]
        scores.extra = len(there - pairs.keys())
        names = [name for name in pairs if name in there]
        if not names:
            raise InputError(
                f"{request.save_path / folder} holds no picture of a test pair of"
                f" {request.truth_path or request.dataset}"
            )
        distance = self._distance(request, folder, left_out)
        rows: dict[str, dict[str, float]] = {}
        refused: dict[str, str] = {}
        share = names[self.state.process_index :: self.state.num_processes]

        def compare(name: str) -> _Compared:
            return self._compare(request, folder, name, pairs[name])

        for batch in self._in_batches(f"Scoring {request.name}/{folder}", share, compare, refused):
            self._through_networks([compared for _, compared in batch], distance)
            for name, (_, _, row) in batch:
                rows[name] = {k: value for k, value in row.items() if not math.isnan(value)}
                if undefined := row.keys() - rows[name].keys():
                    refused[name] = f"it is all one grey, which has no {', '.join(undefined)}"
        for shared_rows, shared_refused in gather_object([(rows, refused)]):
            scores.rows |= shared_rows
            scores.refused |= shared_refused
        if not scores.rows:
            name, reason = next(iter(scores.refused.items()))
            raise InputError(
                f"no picture in {request.save_path / folder} can be scored; {name}: {reason}"
            )
        scores.summarise()
        if distance is not None and len(scores.rows) < _FEWEST:
            left_out["fid"] = f"{folder}: it needs at least {_FEWEST} pictures"
            self.say(f"fid is left out: {left_out['fid']}")
        elif distance is not None:
            scores.values["fid"] = float(distance.compute())
        return scores

    def _compare(
        self, request: EvaluationRequest, folder: str, name: str, target: str
    ) -> _Compared:
        """A result, its truth, and what needs no network on the device."""
        size = RESULT_SIZES[folder]
        generated = read_image(request.save_path / folder / name)
        if generated.shape[:2] != size:
            (height, width), (high, wide) = generated.shape[:2], size
            raise InputError(f"it is {width}x{height}, not {wide}x{high}")
        truth = resized(read_image(request.truth(folder, name, target)), size)
        wanted: tuple[str, ...] = self.options.metrics
        row = {
            metric: measure(generated, truth)
            for metric, measure in _IN_THREADS.items()
            if metric in wanted
        }
        if self.faces is not None and folder == FACE_SIZE:
            row |= _face_likeness(self.faces, generated, truth)
        return generated, truth, row

    def _through_networks(
        self, batch: list[_Compared], distance: FrechetInceptionDistance | None
    ) -> None:
        """Add what networks say of a batch to its rows, and to the Fréchet distance."""
        if self.lpips is None and distance is None:
            return
        generated = _tensor([picture for picture, _, _ in batch], self.device)
        if self.lpips is not None:
            truth = _tensor([picture for _, picture, _ in batch], self.device)
            for (_, _, row), far in zip(batch, self.lpips(generated, truth).tolist(), strict=True):
                row["lpips"] = far
        if distance is not None:
            distance.update(generated, real=False)

    def _distance(
        self, request: EvaluationRequest, folder: str, left_out: dict[str, str]
    ) -> FrechetInceptionDistance | None:
        """The Fréchet distance to all training pictures, which are seen once and remembered."""
        if self.inception is None:
            return None
        layout = DatasetLayout(request.dataset)
        train = layout.image("train", "x").parent
        files = sorted(train.glob("*.jpg")) if train.is_dir() else []
        if len(files) < _FEWEST:
            left_out["fid"] = f"{train} holds fewer than {_FEWEST} training pictures"
            self.say(f"fid is left out: {left_out['fid']}")
            return None
        distance = FrechetInceptionDistance(self.inception).to(self.device)
        # It learns this from its first picture, which a process with an empty share never sees.
        distance.orig_dtype = torch.float32
        size = RESULT_SIZES[folder]
        stamp = [(f.name, (s := f.stat()).st_size, s.st_mtime_ns) for f in files]
        key = hashlib.sha256(json.dumps([self.inception.key, size, stamp]).encode()).hexdigest()
        path = request.dataset / "cache" / f"fid-{folder}-{key[:16]}.npz"
        known = _statistics(path)
        if known is None:
            refused: dict[str, str] = {}
            share = files[self.state.process_index :: self.state.num_processes]
            doing = f"Training pictures at {folder}"
            for batch in self._in_batches(
                doing, share, lambda file: resized(read_image(file), size), refused
            ):
                pixels = _tensor([picture for _, picture in batch], self.device)
                distance.update(pixels, real=True)
            known = {
                "total": reduced(distance.real_features_sum, "sum").cpu().numpy(),
                "products": reduced(distance.real_features_cov_sum, "sum").cpu().numpy(),
                "count": reduced(distance.real_features_num_samples, "sum").cpu().numpy(),
            }
            unread = sum(gather_object([len(refused)]))
            if unread:
                self.say(f"{unread:,} training pictures cannot be read: FID goes without them")
            elif self.state.is_main_process:
                with written_whole(path) as temporary, temporary.open("wb") as file:
                    np.savez(file, **known)  # type: ignore[arg-type]
        # Processes add up what they hold when the distance is computed: one holds the whole.
        mine = float(self.state.is_main_process)
        distance.real_features_sum = torch.from_numpy(known["total"]).to(self.device) * mine
        distance.real_features_cov_sum = torch.from_numpy(known["products"]).to(self.device) * mine
        distance.real_features_num_samples = (
            torch.from_numpy(known["count"]).to(self.device) * int(mine)
        ).long()
        return distance

    def _in_batches(
        self, doing: str, items: list[_T], work: Callable[[_T], _R], refused: dict[str, str]
    ) -> Iterator[list[tuple[_T, _R]]]:
        """Do something to every item in threads; the results in batches, in order.

        What raises InputError is noted in `refused`, by name.
        """
        size, done = self.options.batch_size, 0
        cv2.setNumThreads(1)
        self.on_picture(doing, 0, len(items))
        with ThreadPoolExecutor(self.options.workers) as pool:
            running: deque[tuple[_T, Future[_R]]] = deque()
            waiting = deque(items)
            try:
                while waiting or running:
                    while waiting and len(running) < 2 * size + self.options.workers:
                        item = waiting.popleft()
                        running.append((item, pool.submit(work, item)))
                    batch: list[tuple[_T, _R]] = []
                    while running and len(batch) < size:
                        item, future = running.popleft()
                        done += 1
                        try:
                            batch.append((item, future.result()))
                        except InputError as error:
                            refused[getattr(item, "name", str(item))] = str(error)
                    if batch:
                        yield batch
                    self.on_picture(doing, done, len(items))
            finally:
                pool.shutdown(cancel_futures=True)


def listed_pairs(request: EvaluationRequest, folder: str) -> dict[str, str]:
    """The results that there should be at a size: file name -> stem of the target.

    Raises InputError when there are none.
    """
    if request.truth_path is not None:
        names = sorted(path.name for path in request.truths(folder).glob("*.png"))
        if not names:
            raise InputError(f"{request.truths(folder)} holds no PNG")
        return {name: Path(name).stem.partition("_2_")[2] for name in names}
    pairs = DatasetLayout(request.dataset).pairs("test")
    listed = {result_name(Path(a).stem, Path(b).stem): Path(b).stem for a, b in pairs}
    if not listed:
        raise InputError(f"{DatasetLayout(request.dataset).pairs_file('test')} names no pair")
    return listed


def _check_split(request: EvaluationRequest) -> None:
    """Raise InputError when the results say that they are of another split."""
    try:
        made = json.loads((request.save_path / SETTINGS_FILE).read_text(encoding="utf-8"))
        split = made["split"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if split != "test" and request.truth_path is None:
        raise InputError(
            f"{request.save_path} holds pictures of the {split} split, and test pairs are scored:"
            " sample --split test, or give --gt-path"
        )


def resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture at (height, width), bicubically with antialiasing, as Pillow does it."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))


def _tensor(pictures: list[NDArray[np.uint8]], device: torch.device) -> torch.Tensor:
    """B pictures uint8 [H, W, 3] -> float32 [B, 3, H, W] in 0..1."""
    stacked = torch.from_numpy(np.stack(pictures)).to(device)
    return stacked.permute(0, 3, 1, 2).float() / 255


def _face_likeness(
    faces: InsightFace, generated: NDArray[np.uint8], truth: NDArray[np.uint8]
) -> dict[str, float]:
    """Cosine and distance of the two largest faces; nothing when a picture has none."""
    a, b = faces.largest(generated), faces.largest(truth)
    if a is None or b is None:
        return {}
    cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    return {"face_cosine": float(cosine), "face_distance": float(np.linalg.norm(a - b))}


def _statistics(path: Path) -> dict[str, NDArray[np.float64]] | None:
    """The remembered sums over training pictures; None when there are none that can be read."""
    try:
        with np.load(path) as file:
            known = {name: file[name] for name in ("total", "products", "count")}
    except (OSError, ValueError, KeyError, EOFError):
        return None
    return known if known["products"].shape == (FEATURES, FEATURES) else None


def _device(name: str | None, state: PartialState) -> torch.device:
    if name is None:
        device: torch.device = state.device
        return device
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"evaluate.device={name} is not there: {reason}") from error
    return device


def _ignore(*_: object) -> None:
    """What the processes do with reports that only the main one gives."""
