"""Scoring a folder of results by the field's protocol."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from numpy.typing import NDArray
from PIL import Image

from mcld.dataset.pictures import read_image
from mcld.dataset.results import RESULT_SIZES
from mcld.errors import InputError, MCLDError, SettingsError, WeightsError
from mcld.estimators.face import InsightFace, face_pack
from mcld.evaluate.fid import (
    FEATURES,
    FEWEST,
    FeatureSums,
    Inception,
    TrainingPictures,
    frechet_distance,
)
from mcld.evaluate.metrics import psnr, ssim, ssim_256
from mcld.evaluate.networks import LPIPS, find_torchvision_file
from mcld.evaluate.request import EvaluationRequest, Listing, list_results
from mcld.evaluate.scores import FACE_PACK, Scores, SizeScores
from mcld.machine.files import hash_file
from mcld.machine.processes import ignore, processes, run_on_main
from mcld.sampling.device import open_device
from mcld.settings import EvaluateSettings, Settings

_T = TypeVar("_T")
_R = TypeVar("_R")
_IN_THREADS = {"psnr": psnr, "ssim": ssim, "ssim_256": ssim_256}
FACE_DETECTION = (512, 352)
"""Size at which faces are looked for, as in the authors' evaluation."""
FACE_SIZE = "256"
"""Folder of the pictures whose faces are compared."""


class _Pair(NamedTuple):
    generated: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    row: dict[str, float]
    """Metric -> number."""
    enlarged: bool
    """Whether the truth was smaller."""


class Evaluator:
    """Scores folders of results; loads the networks that the metrics need once.

    A metric whose network is not on this machine is left out, and `left_out` says why. Under
    `accelerate launch` each process scores its share.

    say: called with one line for each thing the user should know; on_picture: called with (what is
    being done, pictures done, pictures to do) of the main process's share; both there only.

    Raises SettingsError for a device that is not there.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        say: Callable[[str], None],
        on_picture: Callable[[str, int, int], None],
    ) -> None:
        self.state = processes()
        self.options: EvaluateSettings = settings.evaluate
        self.device = _choose_device(self.options.device, self.state)
        self.say, self.on_picture = (
            (say, on_picture) if self.state.is_main_process else (ignore, ignore)
        )
        self.left_out: dict[str, str] = {}
        self.weights: dict[str, dict[str, str]] = {}
        self.lpips = self._load_network(
            "lpips", lambda: LPIPS(find_torchvision_file("alexnet", settings)).to(self.device)
        )
        # Apple's GPUs have no float64, in which features are added up.
        sums = torch.device("cpu") if self.device.type == "mps" else self.device
        self.inception = self._load_network(
            "fid", lambda: Inception(find_torchvision_file("inception", settings)).to(sums)
        )
        self.faces = self._load_network(
            "face",
            lambda: InsightFace(settings.prepare, FACE_PACK, str(self.device), FACE_DETECTION),
        )
        for metric, network in (("lpips", self.lpips), ("fid", self.inception)):
            if network is not None:
                self.weights[metric] = {network.file.name: network.sha256}
        if self.faces is not None:
            pack = sorted(face_pack(settings.prepare, FACE_PACK).glob("*.onnx"))
            self.weights["face"] = {path.name: hash_file(path) for path in pack}

    def _load_network(self, metric: str, load: Callable[[], Any]) -> Any:
        """A metric's network; None in all processes if it is missing in one of them."""
        if metric not in self.options.metrics:
            return None
        network, reason = None, None
        try:
            network = load()
        except MCLDError as error:
            reason = str(error)
        if reasons := list(filter(None, gather_object([reason]))):
            self._leave_out(metric, reasons[0], self.left_out)
            return None
        return network

    def score(
        self, request: EvaluationRequest, listings: dict[str, Listing] | None = None
    ) -> Scores:
        """Score one folder of results.

        listings: what `list_results` found in it, where the main process has called it already.

        Raises InputError when nothing in it can be scored: it is missing, empty, or of another
        split; WeightsError when a network gives numbers that are not finite.
        """
        listings = run_on_main(self.state, lambda: listings or list_results(request))
        scores = Scores(request, str(self.device), self.weights)
        for folder, listing in listings.items():
            scores.sizes[folder] = SizeScores(
                listed=len(listing.pairs),
                missing=listing.missing,
                extra=listing.extra,
                left_out=self._list_left_out(folder, FACE_SIZE in listings),
            )
            self._score_size(request, folder, listing, scores.sizes[folder])
        if not scores.list_measured() and self.left_out:
            raise WeightsError(f"nothing is measured: {'; '.join(self.left_out.values())}")
        if not any(at_size.rows for at_size in scores.sizes.values()):
            folder, name, reason = next(
                (folder, *refused)
                for folder, at_size in scores.sizes.items()
                for refused in at_size.refused.items()
            )
            raise InputError(
                f"no picture in {request.save_path / folder} can be scored; {name}: {reason}"
            )
        return scores

    def _list_left_out(self, folder: str, faces: bool) -> dict[str, str]:
        """Metric -> why it is not measured at a size; faces: whether there is a folder 256."""
        left_out = dict(self.left_out)
        if faces and folder != FACE_SIZE:  # no face is looked for at this size
            left_out.pop("face", None)
        elif self.faces is not None and not faces:
            reason = "faces are compared at 176x256, and there is no folder 256/"
            self._leave_out("face", reason, left_out)
        return left_out

    def _score_size(
        self, request: EvaluationRequest, folder: str, listing: Listing, scores: SizeScores
    ) -> None:
        training = self._find_training_sums(request, folder, scores) if listing.present else None
        sums = self._new_sums() if training is not None else None
        rows: dict[str, dict[str, float]] = {}
        refused: dict[str, str] = {}
        enlarged = 0

        compare = partial(self._compare, request, folder, listing)
        doing = f"Scoring {request.name}/{folder}"
        for batch in self._work_in_batches(doing, listing.present, compare, refused):
            self._run_networks([pair for _, pair in batch], sums)
            for name, pair in batch:
                rows[name] = row = pair.row
                enlarged += pair.enlarged
                if math.isnan(row.get("ssim_256", 0)):
                    del row["ssim_256"]
                    refused[name] = "it is all one grey, which has no ssim_256"
        reasons: dict[str, str] = {}
        for their_rows, their_refused, their_enlarged in gather_object([(rows, refused, enlarged)]):
            scores.rows |= their_rows
            reasons |= their_refused
            scores.enlarged += their_enlarged
        scores.refused = {name: reasons[name] for name in listing.present if name in reasons}
        assert scores.rows.keys() | scores.refused.keys() == set(listing.present)
        scores.summarise()
        if self.faces is not None and folder == FACE_SIZE:
            scores.values["faces"] = sum("face_cosine" in row for row in scores.rows.values())
        if training is None or sums is None:
            return
        if len(scores.rows) < FEWEST:
            reason = f"it needs at least {FEWEST} pictures in {folder}/"
            self._leave_out("fid", reason, scores.left_out)
            return
        sums = sums.reduce(self.state)
        scores.values["fid"] = run_on_main(self.state, lambda: frechet_distance(training, sums))

    def _compare(
        self, request: EvaluationRequest, folder: str, listing: Listing, name: str
    ) -> _Pair:
        """A result, its truth, and the metrics that need no network on the device."""
        size = RESULT_SIZES[folder]
        generated = read_image(request.save_path / folder / name)
        if generated.shape[:2] != size:
            (height, width), (high, wide) = generated.shape[:2], size
            raise InputError(f"it is {width}x{height}, not {wide}x{high}")
        path = request.find_truth(folder, name, listing.pairs[name])
        truth, enlarged = _read_resized(path, size)
        wanted: tuple[str, ...] = self.options.metrics
        row = {
            metric: measure(generated, truth)
            for metric, measure in _IN_THREADS.items()
            if metric in wanted
        }
        if self.faces is not None and folder == FACE_SIZE:
            row |= _compare_faces(self.faces, generated, truth)
        return _Pair(generated, truth, row, enlarged)

    def _run_networks(self, batch: list[_Pair], sums: FeatureSums | None) -> None:
        """Add LPIPS to the rows of a batch, and Inception's features to the sums."""
        if self.lpips is None and sums is None:
            return
        generated = _to_tensor([pair.generated for pair in batch], self.device)
        if self.lpips is not None:
            truth = _to_tensor([pair.truth for pair in batch], self.device)
            distances = self.lpips(generated, truth).tolist()
            for pair, distance in zip(batch, distances, strict=True):
                pair.row["lpips"] = distance
        if sums is not None:
            sums.add(self.inception(generated))

    def _new_sums(self) -> FeatureSums:
        return FeatureSums.zeros(FEATURES, next(self.inception.parameters()).device)

    def _find_training_sums(
        self, request: EvaluationRequest, folder: str, scores: SizeScores
    ) -> FeatureSums | None:
        """The sums over all training pictures, from the dataset's cache where they are there."""
        if self.inception is None:
            return None
        try:
            training = run_on_main(self.state, lambda: TrainingPictures.find(request.dataset))
        except InputError as error:
            self._leave_out("fid", f"it needs the training pictures: {error}", scores.left_out)
            return None
        files = training.files()
        path = training.cache_file(folder, self.inception.sha256)
        sums = run_on_main(self.state, lambda: FeatureSums.read(path, len(files)))
        if sums is None:
            sums = self._sum_training(files, folder, scores.unread)
            if sums.count == len(files):
                self._write_sums(sums, path)
        scores.training = {
            "listed": training.listed,
            "used": sums.count,
            "enlarged": sums.enlarged,
        }
        if sums.count < FEWEST:
            train = request.dataset / "train"
            reason = f"{train} has fewer than {FEWEST} training pictures that can be read"
            self._leave_out("fid", reason, scores.left_out)
            return None
        return sums

    def _sum_training(self, files: list[Path], folder: str, unread: dict[str, str]) -> FeatureSums:
        """The sums over training pictures; `unread` gets those that cannot be read, and why."""
        read = partial(_read_resized, size=RESULT_SIZES[folder])
        sums = self._new_sums()
        own_unread: dict[str, str] = {}
        doing = f"Training pictures at {folder}"
        for batch in self._work_in_batches(doing, files, read, own_unread):
            pictures = _to_tensor([picture for _, (picture, _) in batch], self.device)
            sums.add(self.inception(pictures), sum(smaller for _, (_, smaller) in batch))
        for their_unread in gather_object([own_unread]):
            unread |= their_unread
        return sums.reduce(self.state)

    def _write_sums(self, sums: FeatureSums, path: Path) -> None:
        if not self.state.is_main_process:
            return
        try:
            sums.write(path)
        except MCLDError as error:
            self.say(f"{error}: the next run will have to see all training pictures again")

    def _leave_out(self, metric: str, reason: str, left_out: dict[str, str]) -> None:
        left_out[metric] = reason
        self.say(f"{metric} is left out: {reason}")

    def _work_in_batches(
        self, doing: str, items: list[_T], work: Callable[[_T], _R], refused: dict[str, str]
    ) -> Iterator[list[tuple[_T, _R]]]:
        """Work on this process's share of the items in threads; the results in batches, in order.

        `refused` gets those for which `work` raises InputError, by name, and why.
        """
        items = items[self.state.process_index :: self.state.num_processes]
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
                            refused[str(item)] = str(error)
                    if batch:
                        yield batch
                    self.on_picture(doing, done, len(items))
            finally:
                pool.shutdown(cancel_futures=True)


def resize(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture resized to (height, width) by Pillow, bicubically with antialiasing."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))


def _read_resized(path: Path, size: tuple[int, int]) -> tuple[NDArray[np.uint8], bool]:
    """A picture resized to (height, width), and whether it was smaller."""
    image = read_image(path)
    return resize(image, size), image.shape[0] < size[0] or image.shape[1] < size[1]


def _to_tensor(pictures: list[NDArray[np.uint8]], device: torch.device) -> torch.Tensor:
    """B pictures uint8 [H, W, 3] -> float32 [B, 3, H, W] in 0..1."""
    stacked = torch.from_numpy(np.stack(pictures)).to(device)
    return stacked.permute(0, 3, 1, 2).float() / 255


def _compare_faces(
    faces: InsightFace, generated: NDArray[np.uint8], truth: NDArray[np.uint8]
) -> dict[str, float]:
    """Cosine and distance of the two largest faces; empty when a picture has none."""
    a, b = faces.largest(generated), faces.largest(truth)
    if a is None or b is None:
        return {}
    cosine = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    distance = float(np.linalg.norm(a - b))
    if not (math.isfinite(cosine) and math.isfinite(distance)):
        raise WeightsError(
            f"the face pack {FACE_PACK} gives embeddings that are not finite: it is damaged, fetch"
            f" it again with `mcld weights download {FACE_PACK}`"
        )
    return {"face_cosine": cosine, "face_distance": distance}


def _choose_device(name: str | None, state: PartialState) -> torch.device:
    """The device `name`, or without one this process's own."""
    own: torch.device = state.device
    if name is None:
        return own
    device = open_device(name, "evaluate.device")
    if state.num_processes > 1 and device.type != "cpu" and device != own:
        raise SettingsError(
            f"evaluate.device={name}: of several processes each has a GPU of its own, this one"
            f" {own}; give cpu, or leave it out"
        )
    return device
