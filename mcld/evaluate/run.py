"""Scoring a folder of results by a protocol."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TypeVar

import cv2
import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import READING, read_image
from mcld.dataset.results import RESULT_SIZES
from mcld.errors import InputError, MCLDError, SettingsError, WeightsError
from mcld.evaluate.features import FeatureFile, FeatureSet
from mcld.evaluate.kept import KeptOutcomes, Outcome
from mcld.evaluate.metric import (
    BatchMetric,
    Features,
    Loaded,
    Numbers,
    PairMetric,
    SetMetric,
    SingleMetric,
    Tools,
    hash_content,
)
from mcld.evaluate.pairs import (
    MAPS,
    Batch,
    Pair,
    Pictures,
    Pixels,
    is_smaller,
    list_files,
    make_photo,
    read_result,
    stamp,
)
from mcld.evaluate.protocol import DEFAULT, Protocol
from mcld.evaluate.real import find_real_features
from mcld.evaluate.registry import METRICS, list_wanted
from mcld.evaluate.request import EvaluationRequest, Listing, list_results
from mcld.evaluate.scores import Scores, SizeScores
from mcld.machine.processes import ignore, processes, run_on_main, take_share
from mcld.person.prepared import check_prepared
from mcld.sampling.device import open_device
from mcld.settings import EvaluateSettings, Settings

_T = TypeVar("_T")
_R = TypeVar("_R")
_TRUTHS = 64
"""True pictures that are remembered: those of a person are targets of several pairs."""
_PICTURES = "pictures"
"""Under which is kept what is known of a pair before anything is measured."""


@dataclass
class _Size:
    """The work at one size of the pictures."""

    folder: str
    listing: Listing
    scores: SizeScores
    singles: list[SingleMetric]
    sets: list[SetMetric]
    kept: dict[str, KeptOutcomes]
    """By the name of the metric, and under `_PICTURES`."""
    generated: dict[str, FeatureFile]
    """By the name of the features."""
    place: Path | None
    """Where what is known is kept."""
    names: dict[str, str] = field(default_factory=dict)
    """Of this process's scored pictures: under which its features are kept."""
    enlarged: int = 0

    @property
    def batched(self) -> list[BatchMetric]:
        return [metric for metric in self.singles if isinstance(metric, BatchMetric)]


@dataclass
class _Task:
    """One picture of one size: what is known of its numbers, and what is still to be done."""

    at: _Size
    name: str
    stamps: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    todo: tuple[str, ...] = ()
    """Metrics and features that want the device."""
    pair: Pair | None = None
    refused: str = ""
    """Why it cannot be scored at all."""


class Evaluator:
    """Scores folders of results; loads what the metrics need once.

    A metric whose network is not on this machine is left out, and `left_out` says why. Under
    `accelerate launch` each process scores its share.

    say: called with one line for each thing the user should know; on_picture: called with (what is
    being done, pictures done, pictures to do) of the main process's share; both there only.

    Raises SettingsError for a device that is not there and a metric that is none.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        say: Callable[[str], None],
        on_picture: Callable[[str, int, int], None],
        protocol: Protocol | None = None,
    ) -> None:
        self.state = processes()
        self.options: EvaluateSettings = settings.evaluate
        self.prepare = settings.prepare
        self.device = _choose_device(self.options.device, self.state)
        # Apple's GPUs have no float64, in which features are added up.
        self.sums_device = torch.device("cpu") if self.device.type == "mps" else self.device
        self.say, self.on_picture = (
            (say, on_picture) if self.state.is_main_process else (ignore, ignore)
        )
        self.protocol = protocol or Protocol()
        self.left_out: dict[str, str] = {}
        self.weights: dict[str, dict[str, str]] = {}
        self.singles: list[SingleMetric] = []
        self.sets: list[SetMetric] = []
        self.features: dict[str, Features] = {}
        tools = Tools(settings, self.protocol, self.device)
        for name in list_wanted(self.options.metrics):
            self._load_metric(name, tools)

    def _load_metric(self, name: str, tools: Tools) -> None:
        metric = METRICS[name]()
        if isinstance(metric, SetMetric):
            features = self.features.get(metric.features.name) or metric.features()
            if features.name not in self.features and not self._load(name, features, tools):
                return
            self.features[features.name] = features
            metric.weights = features.weights
        if not self._load(name, metric, tools):
            return
        self.weights[name] = dict(metric.weights)
        if isinstance(metric, SetMetric):
            self.sets.append(metric)
        elif isinstance(metric, SingleMetric):
            self.singles.append(metric)

    def _load(self, name: str, loaded: Loaded, tools: Tools) -> bool:
        """Load something for a metric; False in all processes if one of them cannot."""
        reason = None
        try:
            loaded.load(tools)
        except MCLDError as error:
            reason = str(error)
        if reasons := list(filter(None, gather_object([reason]))):
            self.leave_out(name, reasons[0], self.left_out)
        return not reasons

    def score(
        self,
        request: EvaluationRequest,
        listings: dict[str, Listing] | None = None,
        kept: Path | None = None,
    ) -> Scores:
        """Score one folder of results.

        listings: what `list_results` found in it, where the main process has called it already;
        kept: a folder for what is known of each picture, from which a run goes on that was broken
        off, and with which other metrics are measured later without those that are known.

        Raises InputError when nothing in it can be scored: it is missing, empty, or of another
        split; WeightsError when a network gives numbers that are not finite, and when everything is
        left out.
        """
        listings = run_on_main(self.state, lambda: listings or list_results(request))
        scores = Scores(request, self.protocol, str(self.device), self.weights)
        refusal = self._refuse_maps(request.dataset)
        sizes = [self._open_size(scores, listings, folder, kept, refusal) for folder in listings]
        with_results = [at for at in sizes if at.listing.present]
        real = find_real_features(self, request, with_results)
        self._score_pairs(request, sizes)
        for at in sizes:
            self._compare_sets(at, real)
        reasons = [*self.left_out.values(), *([refusal] if refusal else [])]
        if not scores.list_measured() and reasons:
            raise WeightsError(f"nothing is measured: {'; '.join(reasons)}")
        if not any(at_size.rows for at_size in scores.sizes.values()):
            path, reason = next(
                (at_size.files[name], reason)
                for at_size in scores.sizes.values()
                for name, reason in at_size.refused.items()
            )
            raise InputError(
                f"no picture in {request.save_path} can be scored; {path}:"
                f" {reason.removeprefix(f'{path} ')}"
            )
        return scores

    def _open_size(
        self,
        scores: Scores,
        listings: dict[str, Listing],
        folder: str,
        kept: Path | None,
        refusal: str,
    ) -> _Size:
        listing = listings[folder]
        scores.sizes[folder] = at_size = SizeScores(
            listed=len(listing.pairs),
            missing=listing.missing,
            others=listing.others,
            files={name: file.path for name, file in listing.files.items()},
            left_out=self._list_left_out(folder, listings),
        )
        singles = [metric for metric in self.singles if folder in metric.sizes]
        if refusal:
            for metric in (metric for metric in singles if MAPS.intersection(metric.needs)):
                self.leave_out(metric.name, refusal, at_size.left_out)
            singles = [metric for metric in singles if not MAPS.intersection(metric.needs)]
        sets = [metric for metric in self.sets if folder in metric.sizes]
        knobs = [self.protocol.list_photo_knobs(), self.protocol.list_result_knobs()]
        keys = {metric.name: metric.make_key(self.protocol, *knobs) for metric in singles}
        keys[_PICTURES] = hash_content(knobs)
        place = kept / folder if kept else None
        outcomes = {
            name: KeptOutcomes(place, f"{name}-{hash_content([READING, key])}", self.say)
            for name, key in keys.items()
        }
        generated: dict[str, FeatureFile] = {}
        for name in {metric.features.name for metric in sets}:
            features = self.features[name]
            key = hash_content([READING, features.make_key(self.protocol, knobs[1])])
            generated[name] = FeatureFile(place, f"{name}-{key}", features.width, self.say)
        return _Size(folder, listing, at_size, singles, sets, outcomes, generated, place)

    def _refuse_maps(self, dataset: Path) -> str:
        """Why a dataset's maps may not be read, if so, and if any metric wants them."""
        if not any(MAPS.intersection(metric.needs) for metric in self.singles):
            return ""
        try:
            check_prepared(DatasetLayout(dataset), self.prepare, ignore, faces=False)
        except WeightsError as error:
            return str(error)
        return ""

    def _list_left_out(self, folder: str, listings: dict[str, Listing]) -> dict[str, str]:
        """Metric -> why it is not measured at a size, of those that could be."""
        left_out = {
            name: reason for name, reason in self.left_out.items() if folder in METRICS[name].sizes
        }
        for metric in (*self.singles, *self.sets):
            if not listings.keys() & set(metric.sizes):
                (height, width), where = RESULT_SIZES[metric.sizes[0]], metric.sizes[0]
                reason = f"it is measured at {width}x{height}, and there is no folder {where}/"
                self.leave_out(metric.name, reason, left_out)
        return left_out

    def _score_pairs(self, request: EvaluationRequest, sizes: list[_Size]) -> None:
        """Fill the rows of all sizes; the true picture of a pair is read once for all of them."""
        pairs = {name: at.listing.pairs[name] for at in sizes for name in at.listing.present}
        names = sorted(pairs, key=lambda name: pairs[name].target)  # whose truth is read once
        truths = _Truths(sizes, self.protocol)
        prepare = partial(self._prepare, request, sizes, truths.read)
        by = "" if self.protocol.name == DEFAULT else f" by {self.protocol.name}"
        doing = f"Scoring {request.name}{by}"
        try:
            for batch in self.work_in_batches(doing, names, prepare, {}):
                tasks = [task for _, of_pair in batch for task in of_pair]
                self._run_networks(tasks)
                for task in tasks:
                    _settle(task)
                for at in sizes:
                    for kept in at.kept.values():
                        kept.flush()
        finally:
            for at in sizes:
                for outcomes in at.kept.values():
                    outcomes.close()
                for file in at.generated.values():
                    file.close()
        for at in sizes:
            self._gather(at)

    def _gather(self, at: _Size) -> None:
        """Put the processes' shares together."""
        scores = at.scores
        reasons: dict[str, str] = {}
        own = (scores.rows, scores.refused, at.enlarged)
        scores.rows = {}
        for their_rows, their_refused, their_enlarged in gather_object([own]):
            scores.rows |= their_rows
            reasons |= their_refused
            scores.enlarged += their_enlarged
        scores.refused = {name: reasons[name] for name in at.listing.present if name in reasons}
        assert scores.rows.keys() | scores.refused.keys() == set(at.listing.present)
        scores.summarise()
        if scores.rows:
            for metric in at.singles:
                scores.values |= metric.summarise(list(scores.rows.values()))

    def _prepare(
        self,
        request: EvaluationRequest,
        sizes: list[_Size],
        truths: Callable[[Path], dict[str, tuple[Pixels, bool]]],
        name: str,
    ) -> list[_Task]:
        """The tasks of a pair, with the numbers that need no network on the device; in a thread."""
        tasks = []
        for at in sizes:
            if name not in at.listing.files:
                continue
            task = _Task(at, name)
            try:
                self._prepare_task(request, task, truths)
            except InputError as error:
                task.refused = str(error)
            tasks.append(task)
        return tasks

    def _prepare_task(
        self,
        request: EvaluationRequest,
        task: _Task,
        truths: Callable[[Path], dict[str, tuple[Pixels, bool]]],
    ) -> None:
        at, names = task.at, task.at.listing.pairs[task.name]
        file = at.listing.files[task.name]
        truth_path = request.find_truth(at.folder, task.name, names.target)
        dataset = DatasetLayout(request.dataset)
        # Several folders of results may be scored into one --out.
        own = f"{request.save_path.resolve()} {stamp([file.path])} {file.layout.panel}"
        task.stamps = dict.fromkeys(at.generated, f"{own} {task.name}")
        both = f"{own} {stamp([truth_path])}"
        wanting: list[SingleMetric] = []
        for metric in at.singles:
            beside = [file for file in list_files(dataset, names, metric.needs) if file.exists()]
            of = task.stamps[metric.name] = f"{both} {stamp(beside)} {task.name}"
            known = at.kept[metric.name].get(of)
            if known:
                task.outcomes[metric.name] = known
            else:
                wanting.append(metric)
        of = task.stamps[_PICTURES] = f"{both} {task.name}"
        known = at.kept[_PICTURES].get(of)
        extract = [key for key, file in at.generated.items() if task.stamps[key] not in file]
        if known and not wanting and not extract:
            task.outcomes[_PICTURES] = known
            return
        generated = read_result(file, at.folder, self.protocol)
        truth, enlarged = truths(truth_path)[at.folder]
        task.outcomes[_PICTURES] = Outcome({"enlarged": float(enlarged)})
        task.pair = Pair(task.name, at.folder, (generated, truth), names, dataset, self.protocol)
        waiting = []
        for metric in wanting:
            try:
                for need in metric.needs:
                    getattr(task.pair, need)  # read here, in a thread
                if isinstance(metric, PairMetric):
                    task.outcomes[metric.name] = Outcome(metric.measure(task.pair))
                else:
                    waiting.append(metric.name)
            except InputError as error:
                task.outcomes[metric.name] = Outcome({}, str(error))
        task.todo = (*waiting, *extract)

    def _run_networks(self, tasks: list[_Task]) -> None:
        """Measure what wants the device, of tasks that want the same in one batch."""
        groups: dict[tuple[str, tuple[str, ...]], list[_Task]] = {}
        for task in tasks:
            if task.todo:
                groups.setdefault((task.at.folder, task.todo), []).append(task)
        for (_, todo), group in groups.items():
            at = group[0].at
            pairs = [task.pair for task in group if task.pair]
            batch = Batch(pairs, self.device)
            for metric in at.batched:
                if metric.name in todo:
                    for task, numbers in zip(group, metric.measure(batch), strict=True):
                        task.outcomes[metric.name] = Outcome(numbers)
            pictures = Pictures([pair.generated for pair in pairs], self.device)
            pictures.tensor = batch.generated
            for name in at.generated.keys() & set(todo):
                rows = self.features[name].extract(pictures).float().cpu().numpy()
                at.generated[name].add(
                    [task.stamps[name] for task in group], rows, [False] * len(group)
                )

    def _compare_sets(self, at: _Size, real: dict[tuple[str, str], FeatureSet]) -> None:
        """Add the numbers of the set metrics."""
        sums: dict[str, FeatureSet] = {}
        for metric in at.sets:
            key = metric.features.name
            if metric.name in at.scores.left_out or (key, at.folder) not in real:
                continue
            if len(at.scores.rows) < metric.fewest:
                reason = f"it needs at least {metric.fewest} pictures in {at.folder}/"
                self.leave_out(metric.name, reason, at.scores.left_out)
                continue
            if key not in sums:
                total = at.generated[key].sum(list(at.names.values()), self.sums_device)
                total = total.reduce(self.state)
                names: dict[str, str] = {}
                for theirs in gather_object([at.names]):
                    names |= theirs
                # In the order of the pairs: what is drawn from them is the same in any processes
                everybody = [names[name] for name in at.listing.present if name in names]
                at.generated[key].share(gather_object([at.generated[key].folder]))
                sums[key] = FeatureSet(total, at.generated[key], everybody)
            compare = partial(self._compare, metric, at.place, sums[key], real[key, at.folder])
            at.scores.values |= run_on_main(self.state, compare)

    def _compare(
        self, metric: SetMetric, place: Path | None, generated: FeatureSet, real: FeatureSet
    ) -> Numbers:
        """The numbers of a set metric, which are kept as those of pictures are."""
        knobs = [self.protocol.list_photo_knobs(), self.protocol.list_result_knobs()]
        features = self.features[metric.features.name].make_key(self.protocol)
        key = hash_content([READING, features, metric.make_key(self.protocol, *knobs)])
        kept = KeptOutcomes(place, f"{metric.name}-{key}", self.say)
        of = hash_content([list(generated.names), list(real.names)])
        outcome = kept.get(of)
        if outcome is None:
            outcome = Outcome(metric.compare(generated, real))
            kept.add(of, outcome)
            kept.close()
        return dict(outcome.numbers)

    def leave_out(self, metric: str, reason: str, left_out: dict[str, str]) -> None:
        """Note why a metric is not measured, and say so."""
        left_out[metric] = reason
        self.say(f"{metric} is left out: {reason}")

    def leave_out_sets(self, sizes: Sequence[_Size], reason: str) -> None:
        """Leave out all set metrics at some sizes."""
        for at in sizes:
            for metric in at.sets:
                self.leave_out(metric.name, reason, at.scores.left_out)

    def work_in_batches(
        self, doing: str, items: list[_T], work: Callable[[_T], _R], refused: dict[str, str]
    ) -> Iterator[list[tuple[_T, _R]]]:
        """Work on this process's share of the items in threads; the results in batches, in order.

        `refused` gets those for which `work` raises InputError, by name, and why.
        """
        items = take_share(items, self.state)
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


def _settle(task: _Task) -> None:
    """Put what became of a picture into the rows, and keep it."""
    at, scores = task.at, task.at.scores
    if task.refused:
        scores.refused[task.name] = task.refused
        return
    row = scores.rows[task.name] = dict[str, float]()
    at.names[task.name] = next((task.stamps[key] for key in at.generated), task.name)
    at.enlarged += bool(task.outcomes[_PICTURES].numbers["enlarged"])
    for name, kept in at.kept.items():
        outcome, of = task.outcomes[name], task.stamps[name]
        if kept.get(of) is None:
            kept.add(of, outcome)
        if name == _PICTURES:
            continue
        row.update(outcome.numbers)
        if outcome.reason:
            scores.refused[task.name] = outcome.reason


class _Truths:
    """True pictures, the last `_TRUTHS` of which are remembered.

    Pairs that follow each other have one target: of the threads that want it at a time, the first
    reads it, and the others wait.
    """

    def __init__(self, sizes: list[_Size], protocol: Protocol) -> None:
        self._sizes, self._protocol = sizes, protocol
        self._places: OrderedDict[Path, tuple[Lock, dict[str, tuple[Pixels, bool]]]] = OrderedDict()
        self._lock = Lock()
        """Of `_places`; each of them has its own."""

    def read(self, path: Path) -> dict[str, tuple[Pixels, bool]]:
        """A true picture at all sizes, and whether it had to be enlarged."""
        with self._lock:
            lock, truth = self._places.setdefault(path, (Lock(), {}))
            self._places.move_to_end(path)
            if len(self._places) > _TRUTHS:
                self._places.popitem(last=False)
        with lock:
            if not truth:
                image = read_image(path)
                for at in self._sizes:
                    photo = make_photo(image, at.folder, self._protocol)
                    truth[at.folder] = photo, is_smaller(image, RESULT_SIZES[at.folder])
        return truth


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
