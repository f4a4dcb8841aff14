"""Preparing a dataset of photos: all stages, resumable, in any number of processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mcld.dataset.layout import SPLITS, DatasetLayout
from mcld.errors import InputError, MCLDError
from mcld.machine.files import remove_unfinished
from mcld.machine.lock import hold_folder
from mcld.machine.processes import count_processes, is_main, processes
from mcld.machine.workers import work_in_processes
from mcld.prepare.preview import write_preview
from mcld.prepare.raw import (
    Lists,
    RawPictures,
    find_lists,
    find_photos,
    find_raw,
    has_raw_folders,
    is_plain,
    write_lists,
)
from mcld.prepare.readers import Readers, check_installed, choose_readers
from mcld.prepare.report import PrepareReport, StageReport
from mcld.prepare.stages import (
    EmbeddedPoseStage,
    FaceStage,
    HeadCropStage,
    Picture,
    PoseStage,
    PrecomputedPoseStage,
    SplitStage,
    Stage,
    TextureStage,
)
from mcld.settings import PrepareSettings

if TYPE_CHECKING:
    import torch
    from accelerate import PartialState

_T = TypeVar("_T")

STAGES = ("split", "pose", "texture", "face")

Progress = Callable[[str, int, int], None]
"""Called with (stage, pictures done, pictures to do)."""


@dataclass(frozen=True)
class PrepareRequest:
    """What to prepare."""

    root: Path
    """The dataset folder."""
    stages: tuple[str, ...] = STAGES
    """Of `STAGES`; they run in that order."""
    split_dir: Path | None = None
    """Folder of the lists and tables; None: <root>/split or <root>."""
    limit: int | None = None
    """Only so many pictures of each split; None: all."""
    overwrite: bool = False
    """Make files again that are there already."""


class _OneProcess:
    """Accelerate's PartialState of a run that no launcher started; loads PyTorch for a network."""

    is_main_process = True
    process_index = 0
    num_processes = 1
    main_process_first = nullcontext

    @property
    def device(self) -> torch.device:
        device: torch.device = processes().device
        return device

    def wait_for_everyone(self) -> None:
        pass


def prepare_dataset(
    request: PrepareRequest, options: PrepareSettings, on_progress: Progress
) -> PrepareReport:
    """Prepare the photos of a dataset folder; return what came of it.

    Every file is written whole or not at all. What is there already is kept, so a run that was
    broken off goes on where it stopped. Under `accelerate launch` each process takes its share;
    the files do not depend on the number of processes.

    Raises InputError for a folder that holds nothing to prepare or is being prepared by another
    run, and MCLDError when something is not installed, the folder cannot be written or the disk is
    full.
    """
    if is_main():  # the others would only say the same; PyTorch takes a second to load
        _check_folder(request.root)
    readers = choose_readers(request, options)
    options = options.model_copy(update={"pose_estimator": readers.pose_estimator})
    if is_main():
        check_installed(request, options, readers)
    state = processes() if count_processes() > 1 else _OneProcess()
    main = state.is_main_process
    with hold_folder(request.root) if main else nullcontext():
        with state.main_process_first():  # after it the lists are whole
            raw, lists = _find_pictures(request, readers)
            stages = _choose_stages(request, options, readers, raw)
            if main:
                remove_unfinished(request.root)
                _change_readers(request, readers, stages, _list_pictures(lists, None))
                write_lists(DatasetLayout(request.root), lists)
        pictures = _list_pictures(lists, request.limit)
        reports = []
        for stage in stages:
            reports.append(
                _run_stage(stage, pictures, request.overwrite, options, state, on_progress)
            )
            pictures = _keep_usable(reports[-1], pictures)
        report = _report(request, reports, lists, raw, readers)
        if main:
            report.write(request.root)
            write_preview(DatasetLayout(request.root), _list_pictures(lists, request.limit))
        state.wait_for_everyone()
    return report


def plan_dataset(request: PrepareRequest, options: PrepareSettings) -> PrepareReport:
    """What `prepare_dataset` would do; nothing is written.

    In the report, `done` counts what would be made; what is listed but absent has failed. Raises
    InputError as `prepare_dataset` does.
    """
    _check_folder(request.root)
    readers = choose_readers(request, options)
    raw, lists = _find_pictures(request, readers)
    pictures = _list_pictures(lists, request.limit)
    reports = []
    for stage in _choose_stages(request, options, readers, raw):
        report = StageReport(stage.name, len(pictures))
        for picture in pictures:
            if not request.overwrite and stage.output(picture).exists():
                report.skipped += 1
                continue
            try:
                stage.check(picture)
                report.done += 1
            except InputError as error:
                report.failed[_name(picture)] = str(error)
        reports.append(report)
        pictures = _keep_usable(report, pictures)
    return _report(request, reports, lists, raw, readers)


def _report(
    request: PrepareRequest,
    reports: list[StageReport],
    lists: Lists,
    raw: RawPictures,
    readers: Readers,
) -> PrepareReport:
    return PrepareReport(
        reports,
        not lists.own,
        lists.refused,
        raw.refused,
        readers.record,
        raw.plain,
        request.limit,
    )


def _change_readers(
    request: PrepareRequest, readers: Readers, stages: list[Stage], pictures: list[Picture]
) -> None:
    """Write down who reads the photos; before that, remove what others have made."""
    for stage in stages:
        # Maps that are there already are the user's.
        if stage.name in readers.changed and not isinstance(stage, PrecomputedPoseStage):
            for picture in pictures:
                for file in (stage.output(picture), *stage.made_from_output(picture)):
                    file.unlink(missing_ok=True)
    DatasetLayout(request.root).write_record(readers.record)


def _check_folder(root: Path) -> None:
    """Raise InputError for a folder that cannot be meant, before anything is written into it."""
    if not root.is_dir():
        raise InputError(
            f"{root} is no folder: give the one that holds the photos, or MEN and WOMEN"
        )
    prepared = any((root / split).is_dir() for split in SPLITS)
    if not (has_raw_folders(root) or prepared or is_plain(root)):
        raise InputError(
            f"{root} holds no pictures: put photos there, or unzip DeepFashion's img_highres, so"
            " that it holds MEN and WOMEN, img_highres or img; or generate people with"
            " --mannequins 40"
        )


def _find_pictures(request: PrepareRequest, readers: Readers) -> tuple[RawPictures, Lists]:
    raw = (find_photos if readers.plain else find_raw)(request.root)
    return raw, find_lists(request.root, request.split_dir, raw)


def _list_pictures(lists: Lists, limit: int | None) -> list[Picture]:
    return [
        Picture(split, name.removesuffix(".jpg"))
        for split in SPLITS
        for name in lists.names[split][:limit]
    ]


def _keep_usable(report: StageReport, pictures: list[Picture]) -> list[Picture]:
    """The pictures for the next stages: one that is absent, or has no map, is reported once."""
    if report.name not in ("split", "pose"):
        return pictures
    return [picture for picture in pictures if _name(picture) not in report.failed]


def _choose_stages(
    request: PrepareRequest, options: PrepareSettings, readers: Readers, raw: RawPictures
) -> list[Stage]:
    layout = DatasetLayout(request.root)
    pose: Stage = PoseStage(layout, options)
    if readers.pose_estimator == "precomputed":
        pose = PrecomputedPoseStage(layout)
    elif readers.pose_estimator == "embedded":
        pose = EmbeddedPoseStage(layout, options)
    face: Stage = FaceStage(layout, options)
    if readers.face_embedder == "head_crop":
        face = HeadCropStage(layout)
    stages: list[Stage] = [SplitStage(layout, raw.paths), pose, TextureStage(layout), face]
    return [stage for stage in stages if stage.name in request.stages]


def _run_stage(
    stage: Stage,
    pictures: list[Picture],
    overwrite: bool,
    options: PrepareSettings,
    state: PartialState | _OneProcess,
    on_progress: Progress,
) -> StageReport:
    """Take this process's share of the pictures through a stage; all processes' report."""
    share = pictures[state.process_index :: state.num_processes]
    missing = [p for p in share if not stage.is_done(p) or overwrite]  # asked anyway: it is `seen`
    if missing and stage.has_network:
        stage.device = str(state.device)
    failed: list[tuple[str, str]] = []
    on_progress(stage.name, 0, len(missing))
    for done, failure in enumerate(_make_all(stage, missing, overwrite, options.workers), 1):
        if failure is not None:
            failed.append(failure)
        on_progress(stage.name, done, len(missing))
    report = StageReport(stage.name, len(pictures))
    for attempted, failures, seen in _gather(state, (len(missing), failed, stage.seen)):
        report.done += attempted - len(failures)
        report.failed.update(failures)
        stage.seen |= seen
    report.skipped = len(pictures) - report.done - len(report.failed)
    if state.is_main_process:
        stage.remember([p for p in pictures if _name(p) not in report.failed])
    return report


def _gather(state: PartialState | _OneProcess, value: _T) -> list[_T]:
    """Every process's value."""
    if state.num_processes == 1:
        return [value]
    from accelerate.utils import gather_object

    values: list[_T] = gather_object([value])
    return values


def _make_all(
    stage: Stage, pictures: Sequence[Picture], overwrite: bool, workers: int
) -> Iterator[tuple[str, str] | None]:
    """Make the pictures' files; yield once a picture: None, or (picture, why it failed)."""
    work = partial(_make_batch, stage, overwrite)
    workers = 1 if stage.one_process else workers
    size = stage.batch_size
    batches = [pictures[start : start + size] for start in range(0, len(pictures), size)]
    for made in work_in_processes(work, batches, workers, f"the {stage.name} stage"):
        yield from made


def _make_batch(
    stage: Stage, overwrite: bool, pictures: Sequence[Picture]
) -> list[tuple[str, str] | None]:
    """Make some pictures' files: of each, None, or (picture, why it failed)."""
    stage.load()
    stage.begin(pictures)
    return [_make(stage, overwrite, picture) for picture in pictures]


def _make(stage: Stage, overwrite: bool, picture: Picture) -> tuple[str, str] | None:
    """Make one picture's file: None, or (picture, why it failed)."""
    if overwrite:
        for stale in stage.made_from_output(picture):
            stale.unlink(missing_ok=True)
    try:
        stage.make(picture)
    except InputError as error:
        reason = str(error)
    except (MCLDError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - one picture's trouble must not stop 50,000 others
        overwrite = False  # the cause is not known: nothing is removed for it
        reason = f"unexpected {type(error).__name__}: {error}"
    else:
        return None
    # A flat picture and a given map are the user's; what a stage made before is no longer true.
    if overwrite and not isinstance(stage, SplitStage | PrecomputedPoseStage):
        stage.output(picture).unlink(missing_ok=True)
    return _name(picture), " ".join(reason.replace(f"{stage.layout.root}{os.sep}", "").split())


def _name(picture: Picture) -> str:
    """The picture's file, relative to the dataset folder."""
    return f"{picture.split}/{picture.stem}.jpg"
