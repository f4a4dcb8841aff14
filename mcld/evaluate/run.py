"""Scoring a folder of results by the field's protocol."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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
from mcld.evaluate.fid import FEWEST, FrechetDistance, Inception, Statistics, Training
from mcld.evaluate.metrics import psnr, ssim, ssim_256
from mcld.evaluate.networks import LPIPS, torchvision_file
from mcld.evaluate.request import EvaluationRequest, Listing, listings
from mcld.evaluate.scores import FACE_PACK, Scores, SizeScores
from mcld.machine.files import sha256_of
from mcld.machine.processes import ignore, processes, run_on_main
from mcld.settings import EvaluateSettings, Settings

_T = TypeVar("_T")
_R = TypeVar("_R")
_IN_THREADS = {"psnr": psnr, "ssim": ssim, "ssim_256": ssim_256}
FACE_DETECTION = (512, 352)
"""Size at which faces are looked for, as in the authors' evaluation."""
FACE_SIZE = "256"
"""Folder of the pictures whose faces are compared."""


class _Compared(NamedTuple):
    generated: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    row: dict[str, float]
    """The metrics of both."""
    enlarged: bool
    """Whether the truth was smaller."""


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
        self.state = processes()
        self.options: EvaluateSettings = settings.evaluate
        self.device = _device(self.options.device, self.state)
        self.say, self.on_picture = (
            (say, on_picture) if self.state.is_main_process else (ignore, ignore)
        )
        self.left_out: dict[str, str] = {}
        self.weights: dict[str, dict[str, str]] = {}
        pretrained = settings.sample.pretrained
        insightface = settings.prepare.insightface_root
        self.lpips = self._network(
            "lpips", lambda: LPIPS(torchvision_file("alexnet", pretrained)).to(self.device)
        )
        # Apple's GPUs have no float64, in which features are added up.
        sums = torch.device("cpu") if self.device.type == "mps" else self.device
        self.inception = self._network(
            "fid", lambda: Inception(torchvision_file("inception", pretrained)).to(sums)
        )
        self.faces = self._network(
            "face", lambda: InsightFace(insightface, FACE_PACK, str(self.device), FACE_DETECTION)
        )
        for metric, network in (("lpips", self.lpips), ("fid", self.inception)):
            if network is not None:
                self.weights[metric] = {network.file.name: network.sha256}
        if self.faces is not None:
            pack = sorted(face_pack(insightface, FACE_PACK).glob("*.onnx"))
            self.weights["face"] = {path.name: sha256_of(path) for path in pack}

    def _network(self, metric: str, load: Callable[[], Any]) -> Any:
        """A metric's network; in no process if one of them has not got it."""
        if metric not in self.options.metrics:
            return None
        network, reason = None, None
        try:
            network = load()
        except MCLDError as error:
            reason = str(error)
        reasons = [reason for reason in gather_object([reason]) if reason is not None]
        if not reasons:
            return network
        self.left_out[metric] = reasons[0]
        self.say(f"{metric} is left out: {reasons[0]}")
        return None

    def score(self, request: EvaluationRequest) -> Scores:
        """Score one folder of results.

        Raises InputError when nothing in it can be scored: it is missing, empty, or of another
        split; WeightsError when a network gives numbers that are not finite.
        """
        found = run_on_main(self.state, lambda: listings(request))
        scores = Scores(
            request.name,
            request.save_path,
            request.dataset,
            truth_path=request.truth_path,
            device=str(self.device),
            weights=self.weights,
        )
        for folder, listing in found.items():
            scores.sizes[folder] = SizeScores(
                listed=len(listing.pairs),
                missing=listing.missing,
                extra=listing.extra,
                left_out=self._left_out(folder, FACE_SIZE in found),
            )
            self._score_size(request, folder, listing, scores.sizes[folder])
        if not scores.measured() and self.left_out:
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

    def _left_out(self, folder: str, faces: bool) -> dict[str, str]:
        """What is not measured at a size; faces: whether there are pictures for them."""
        left_out = dict(self.left_out)
        if faces and folder != FACE_SIZE:  # where nobody looks for them
            left_out.pop("face", None)
        elif self.faces is not None and not faces:
            left_out["face"] = "faces are compared at 176x256, and there is no folder 256/"
            self.say(f"face is left out: {left_out['face']}")
        return left_out

    def _score_size(
        self, request: EvaluationRequest, folder: str, listing: Listing, scores: SizeScores
    ) -> None:
        distance = self._distance(request, folder, scores) if listing.there else None
        rows: dict[str, dict[str, float]] = {}
        refused: dict[str, str] = {}
        enlarged = 0
        share = self._share(listing.there)

        def compare(name: str) -> _Compared:
            return self._compare(request, folder, name, listing.pairs[name])

        for batch in self._in_batches(f"Scoring {request.name}/{folder}", share, compare, refused):
            self._through_networks([compared for _, compared in batch], distance)
            for name, compared in batch:
                rows[name] = row = compared.row
                enlarged += compared.enlarged
                if math.isnan(row.get("ssim_256", 0)):
                    del row["ssim_256"]
                    refused[name] = "it is all one grey, which has no ssim_256"
        reasons: dict[str, str] = {}
        for shared_rows, shared_refused, some in gather_object([(rows, refused, enlarged)]):
            scores.rows |= shared_rows
            reasons |= shared_refused
            scores.enlarged += some
        scores.refused = {name: reasons[name] for name in listing.there if name in reasons}
        assert scores.rows.keys() | scores.refused.keys() == set(listing.there)
        scores.summarise()
        if self.faces is not None and folder == FACE_SIZE:
            scores.values["faces"] = sum("face_cosine" in row for row in scores.rows.values())
        if distance is not None and len(scores.rows) < FEWEST:
            self._leave_out_fid(scores, f"it needs at least {FEWEST} pictures in {folder}/")
        elif distance is not None:
            scores.values["fid"] = distance.value()

    def _compare(
        self, request: EvaluationRequest, folder: str, name: str, target: str
    ) -> _Compared:
        """A result, its truth, and what needs no network on the device."""
        size = RESULT_SIZES[folder]
        generated = read_image(request.save_path / folder / name)
        if generated.shape[:2] != size:
            (height, width), (high, wide) = generated.shape[:2], size
            raise InputError(f"it is {width}x{height}, not {wide}x{high}")
        original = read_image(request.truth(folder, name, target))
        truth = resized(original, size)
        wanted: tuple[str, ...] = self.options.metrics
        row = {
            metric: measure(generated, truth)
            for metric, measure in _IN_THREADS.items()
            if metric in wanted
        }
        if self.faces is not None and folder == FACE_SIZE:
            row |= _face_likeness(self.faces, generated, truth)
        return _Compared(generated, truth, row, _is_smaller(original, size))

    def _through_networks(self, batch: list[_Compared], distance: FrechetDistance | None) -> None:
        """Add what networks say of a batch to its rows, and to the Fréchet distance."""
        if self.lpips is None and distance is None:
            return
        generated = _tensor([compared.generated for compared in batch], self.device)
        if self.lpips is not None:
            truth = _tensor([compared.truth for compared in batch], self.device)
            far = self.lpips(generated, truth).tolist()
            for compared, value in zip(batch, far, strict=True):
                compared.row["lpips"] = value
        if distance is not None:
            distance.add(generated, training=False)

    def _distance(
        self, request: EvaluationRequest, folder: str, scores: SizeScores
    ) -> FrechetDistance | None:
        """The Fréchet distance to all training pictures, which are seen once and remembered."""
        if self.inception is None:
            return None
        try:
            training = run_on_main(self.state, lambda: Training.of(request.dataset))
        except InputError as error:
            self._leave_out_fid(scores, f"it needs the training pictures: {error}")
            return None
        there = training.files()
        path = training.cache_file(folder, self.inception.sha256)
        distance = FrechetDistance(self.inception, self.state)
        kept = Statistics.read(path, len(there)) if self.state.is_main_process else None
        counts = run_on_main(self.state, lambda: (kept.count, kept.enlarged) if kept else None)
        if counts is None:
            kept = self._see(there, folder, distance, scores.unread)
            counts = kept.count, kept.enlarged
            if kept.count == len(there):
                self._keep(kept, path)
        used, enlarged = counts
        scores.training = {"listed": training.listed, "used": used, "enlarged": enlarged}
        if used < FEWEST:
            self._leave_out_fid(
                scores,
                f"{request.dataset / 'train'} has fewer than {FEWEST} training pictures that can be"
                " read",
            )
            return None
        if kept is not None:
            distance.refer_to(kept)
        return distance

    def _see(
        self, files: list[Path], folder: str, distance: FrechetDistance, unread: dict[str, str]
    ) -> Statistics:
        """The statistics of training pictures, but for those that cannot be read: see `unread`."""
        size = RESULT_SIZES[folder]
        enlarged = 0

        def fitted(file: Path) -> tuple[NDArray[np.uint8], bool]:
            original = read_image(file)
            return resized(original, size), _is_smaller(original, size)

        doing = f"Training pictures at {folder}"
        own: dict[str, str] = {}
        for batch in self._in_batches(doing, self._share(files), fitted, own):
            pictures = [picture for _, (picture, _) in batch]
            distance.add(_tensor(pictures, self.device), training=True)
            enlarged += sum(smaller for _, (_, smaller) in batch)
        for theirs in gather_object([own]):
            unread |= theirs
        return distance.training(enlarged)

    def _keep(self, statistics: Statistics, path: Path) -> None:
        if not self.state.is_main_process:
            return
        try:
            statistics.write(path)
        except MCLDError as error:
            self.say(f"{error}: the next run will have to see all training pictures again")

    def _share(self, items: list[_T]) -> list[_T]:
        return items[self.state.process_index :: self.state.num_processes]

    def _leave_out_fid(self, scores: SizeScores, reason: str) -> None:
        scores.left_out["fid"] = reason
        self.say(f"fid is left out: {reason}")

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
                            refused[str(item)] = str(error)
                    if batch:
                        yield batch
                    self.on_picture(doing, done, len(items))
            finally:
                pool.shutdown(cancel_futures=True)


def resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture at (height, width), bicubically with antialiasing, as Pillow does it."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))


def _is_smaller(image: NDArray[np.uint8], size: tuple[int, int]) -> bool:
    return any(side < wanted for side, wanted in zip(image.shape, size, strict=False))


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
    cosine = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    distance = float(np.linalg.norm(a - b))
    if not (math.isfinite(cosine) and math.isfinite(distance)):
        raise WeightsError(
            f"the face pack {FACE_PACK} gives embeddings that are not finite: it is damaged, fetch"
            f" it again with `mcld weights download {FACE_PACK}`"
        )
    return {"face_cosine": cosine, "face_distance": distance}


def _device(name: str | None, state: PartialState) -> torch.device:
    """The device asked for, or this process's own."""
    own: torch.device = state.device
    if name is None:
        return own
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0][:100]
        raise SettingsError(
            f"evaluate.device={name} is not there: {reason}; give cpu, or leave it out"
        ) from error
    if device.type == "cuda" and device.index is None:  # the one that accelerate gave this process
        device = torch.device("cuda", torch.cuda.current_device())
    if state.num_processes > 1 and device.type != "cpu" and device != own:
        raise SettingsError(
            f"evaluate.device={name}: of several processes each has a GPU of its own, this one"
            f" {own}; give cpu, or leave it out"
        )
    return device
