"""A person in poses one after the other: frames, and a video of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mcld import __version__
from mcld.body.parameters import name_file
from mcld.conditions import FocalConditions
from mcld.dataset.pictures import colour_iuv, read_image, read_iuv, write_iuv, write_png
from mcld.dataset.poses import find_frame
from mcld.dataset.sheet import contact_sheet
from mcld.errors import InputError, SettingsError
from mcld.machine.files import hash_file, make_folder, remove_unfinished, write_json
from mcld.machine.lock import hold_folder
from mcld.machine.processes import ignore, processes, run_on_main
from mcld.machine.signing import open_signer
from mcld.machine.threads import limit_threads
from mcld.machine.video import write_video
from mcld.networks.places import read_face_embedder
from mcld.person.check import name_files
from mcld.person.person import Person, warn_of_no_face
from mcld.person.reader import PersonReader, record_reading
from mcld.pipeline_inputs import PipelineInputs
from mcld.sample.frames import PoseFrames
from mcld.sample.request import SequenceRequest
from mcld.sampling.background import find_behind, finish_pictures
from mcld.sampling.device import choose_device
from mcld.sampling.inputs import read_inputs
from mcld.sampling.open import OpenNetwork, OpenPipeline, open_pipeline
from mcld.sampling.paint import as_images
from mcld.sampling.record import make_provenance
from mcld.sampling.run import PictureRun, run_many
from mcld.settings import SampleSettings, Settings
from mcld.surface.smooth import smooth_maps

Map = NDArray[np.uint8]

SETTINGS_FILE, FRAMES_FILE, POSES_FILE = "sequence.json", "frames.json", "poses.json"
"""What poses and what frames were made of, in their folder; how many poses there are, in theirs."""
_REACH = 2
"""Maps before and after that an estimated one is smoothed with."""
_CELLS, _CELL = 12, 256
"""Frames on a sheet, and the height of one, pixels."""


def sample_sequence(
    request: SequenceRequest,
    settings: Settings,
    *,
    say: Callable[[str], None],
    on_pose: Callable[[int, int], None],
    on_frame: Callable[[int, int], None],
    open_network: OpenNetwork = open_pipeline,
) -> list[Path]:
    """Show a person in poses one after the other; return what was written.

    Poses and frames are kept in `request.folder` until all is whole: broken off, the same request
    goes on to the same bytes. Under `accelerate launch` each process takes its share of the frames.

    Args:
        request: what to sample.
        settings: as for a picture.
        say: told, in one line each, what the user should know.
        on_pose, on_frame: called with (done, to do); all three in the main process only.
        open_network: opens `request.weights`.

    Raises SettingsError when the folder holds frames of other settings, and InputError,
    WeightsError or MCLDError for what else the user can mend.
    """
    state = processes()
    main = state.is_main_process
    say, on_pose = (say, on_pose) if main else (ignore, ignore)
    signer = open_signer(settings.sample.c2pa_certificate, settings.sample.c2pa_key)
    if signer and request.out != request.folder:
        signer.check_format(request.out)
    device = choose_device(settings.sample, state.device)
    place = "cpu" if settings.sample.low_memory else str(device)
    embedder = read_face_embedder(request.weights, settings)
    reader = PersonReader(settings.prepare, place, say, embedder)
    person = reader.gather(request.sources, request.source_poses)
    warn_of_no_face(person, say)
    frames = request.frames
    record = {
        "source": name_files(request.sources),
        "pose": name_file(request.pose),
        "files": [[name_file(file), hash_file(file)] for file in request.files()],
        "fps": frames.fps,
        "from": request.span.start,
        "to": request.span.end,
        "seed": request.seed,
        **record_reading(settings.prepare, reads_photos=True, has_pose=True),
    }
    with ExitStack() as held:

        def begin() -> None:
            held.enter_context(hold_folder(make_folder(request.folder)))
            remove_unfinished(request.folder)
            _check_settings(request.folder, SETTINGS_FILE, record)
            _read_poses(frames, reader, request.folder / "poses", on_pose)

        run_on_main(state, begin)
        count = int(_read_json(request.folder / "poses" / POSES_FILE)["count"])

        runs: list[SequenceRun] = []

        def make_run(opened: OpenPipeline, _: Callable[[str], None]) -> SequenceRun:
            runs.append(SequenceRun(request, person, count, opened, record, settings.sample))
            return runs[0]

        run_many(
            make_run,
            request.weights,
            settings,
            say=say,
            on_job=on_frame,
            open_network=open_network,
        )
        return run_on_main(state, lambda: _finish(request, runs[0], frames.fps))


def _check_settings(folder: Path, name: str, record: dict[str, Any]) -> None:
    """Keep what is made here, and of what, or raise SettingsError where it is made of else."""
    path, now = folder / name, json.loads(json.dumps({**record, "version": __version__}))
    if not path.exists():
        if any(folder.glob("*.png")):
            raise SettingsError(f"{folder} holds pictures already: give another --out")
        write_json(path, now)
        return
    earlier = _read_json(path)
    if changed := [name for name in {**now, **earlier} if now.get(name) != earlier.get(name)]:
        raise SettingsError(
            f"{folder} holds frames that were made otherwise, by {', '.join(changed)}: remove it,"
            " or give another --out"
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}; remove its folder") from error
    return content if isinstance(content, dict) else {}


def _read_poses(
    frames: PoseFrames, reader: PersonReader, folder: Path, on_pose: Callable[[int, int], None]
) -> None:
    """Write every map that is not there yet, and then how many there are."""
    make_folder(folder)
    if (folder / POSES_FILE).exists():
        return
    size: tuple[int, ...] | None = None
    count = 0

    def find_kept(number: int) -> Map | None:
        file = _file(folder, number)
        return read_iuv(file) if file.exists() else None

    for number, iuv in frames.read(reader, find_kept):
        if iuv is not None:
            if size not in (None, iuv.shape):
                raise InputError(
                    f"{frames.path}: frame {number} has {iuv.shape[1]}x{iuv.shape[0]} pixels, those"
                    f" before it {size[1]}x{size[0]}: a sequence is of one size"
                )
            write_iuv(_file(folder, number), iuv)
        size = size or read_iuv(_file(folder, number)).shape
        count = number + 1
        on_pose(count, max(frames.count, count))
    write_json(folder / POSES_FILE, {"count": count, "estimated": frames.estimated})


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.png"


class SequenceRun(PictureRun[int, tuple[Map, PipelineInputs]]):
    """The frames of a sequence, by number."""

    unit = "frames"

    def __init__(
        self,
        request: SequenceRequest,
        person: Person,
        count: int,
        opened: OpenPipeline,
        record: dict[str, Any],
        settings: SampleSettings,
    ) -> None:
        super().__init__(opened, list(range(count)))
        self.request, self.folder = request, request.folder
        self.poses = self.folder / "poses"
        # In how many threads a frame is computed, its last digits depend on.
        threads = {"threads": settings.threads} if settings.threads else {}
        own = {"weights": opened.weights, **opened.options.record()}
        self.record = {**record, **threads, **own}
        self.estimated = bool(_read_json(self.poses / POSES_FILE).get("estimated"))
        self.behind = find_behind(person, opened.options)
        middle = read_iuv(_file(self.poses, count // 2))
        # One view for all frames: where the nearest changes, so would the picture.
        self.person, self.view = person, person.choose_view(middle)
        if opened.pipeline.refiner is not None:
            _ = person.atlas  # once, before several threads ask for it
        self.frame = find_frame(self._cover(), person.photo.size)
        # Who it is, is encoded once; in as many threads as every frame, or it would round otherwise
        with torch.no_grad(), limit_threads(settings.threads or 1):
            self.same = opened.pipeline.conditions(self.read(0)[1])
            self.focal = opened.pipeline.network.encode(self.same)

    def begin(self, held: ExitStack) -> list[int]:
        """Check that what is there is of the same network; the folder is held already."""
        del held
        _check_settings(self.folder, FRAMES_FILE, self.record)
        return [number for number in self.jobs if not _file(self.folder, number).exists()]

    def name(self, job: int) -> str:
        """Its number."""
        return f"frame {job}"

    def seed(self, job: int) -> int:
        """The same noise for every frame: what differs is the pose alone."""
        del job
        return self.request.seed

    def _cover(self) -> NDArray[np.bool_]:
        """Where the body is in any of the frames."""
        cover = read_iuv(_file(self.poses, 0))[..., 0] > 0
        for number in self.jobs[1:]:
            cover |= read_iuv(_file(self.poses, number))[..., 0] > 0
        return cover

    def read_pose(self, number: int) -> Map:
        """The map of a frame, smoothed where it was estimated, and framed as all are."""
        iuv = read_iuv(_file(self.poses, number))
        if self.estimated:
            reach = min(_REACH, number, len(self.jobs) - 1 - number)
            near = range(number - reach, number + reach + 1)
            iuv = smooth_maps([read_iuv(_file(self.poses, n)) for n in near])
        return iuv if self.frame is None else self.frame.cut(iuv)

    def read(self, job: int) -> tuple[Map, PipelineInputs]:
        """The pose, and what the network sees."""
        iuv = self.read_pose(job)
        pipeline, options = self.opened.pipeline, self.opened.options
        return iuv, read_inputs(pipeline, [self.person], iuv, options, self.view)

    def encode(self, inputs: list[tuple[Map, PipelineInputs]]) -> list[FocalConditions]:
        """One picture a frame."""
        whole = PipelineInputs.cat([read for _, read in inputs])
        conditions = self.opened.pipeline.conditions(whole, self.same)
        return [conditions[k : k + 1] for k in range(len(inputs))]

    def write(self, job: int, inputs: tuple[Map, PipelineInputs], pictures: torch.Tensor) -> None:
        """Write the frame."""
        (finished,) = finish_pictures(
            as_images(pictures), self.person, inputs[0], self.opened.options, self.behind
        )
        signer = self.opened.signer if self.request.out == self.folder else None
        made = make_provenance({**self.record, "frame": job}, signer)
        write_png(_file(self.folder, job), np.asarray(finished), made)


def _finish(request: SequenceRequest, run: SequenceRun, fps: float) -> list[Path]:
    """Make the video of the frames, and the sheet; what was kept to go on is removed."""
    folder, written, count = request.folder, [request.out], len(run.jobs)
    made = make_provenance(run.record, run.opened.signer)

    def read_all() -> Iterator[NDArray[np.uint8]]:
        for number in range(count):
            yield read_image(_file(folder, number))

    if request.sheet:
        chosen = np.unique(np.linspace(0, count - 1, min(count, _CELLS)).round().astype(int))
        poses = [Image.fromarray(colour_iuv(run.read_pose(int(n)))) for n in chosen]
        shown = [Image.fromarray(read_image(_file(folder, int(n)))) for n in chosen]
        photo = run.person.photo
        width, height = photo.size
        cell = (max(round(_CELL * width / height), _CELL // 2), _CELL)
        blank = Image.new("RGB", cell, "white")
        columns = ["source", *(f"{n / fps:.2f} s" for n in chosen)]
        rows = [[photo, *shown], [blank, *poses]]
        write_png(request.sheet_file, contact_sheet(columns, rows, cell), made)
        written.append(request.sheet_file)
    if request.out == folder:
        shutil.rmtree(folder / "poses", ignore_errors=True)
    else:
        write_video(request.out, read_all(), fps, made)
        shutil.rmtree(folder, ignore_errors=True)
    return written
