"""A recipe: many edits, in a YAML list."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from PIL import Image

from mcld import __version__
from mcld.conditions import FocalConditions
from mcld.dataset.pictures import write_png
from mcld.edit.edits import EditInputs, edit_inputs, encode, finished, guesses
from mcld.edit.picture import REMEMBERED, how_edited, read_edit, strip
from mcld.edit.request import EditRequest, content_hash
from mcld.errors import InputError, MCLDError, SettingsError
from mcld.machine.files import check_writable, remove_unfinished_of
from mcld.machine.lock import only_run_of
from mcld.machine.processes import ignore, processes, run_on_main
from mcld.networks.folders import chosen_pipeline
from mcld.person import PersonReader, no_face_known
from mcld.pipeline import MCLDPipeline
from mcld.sampling.placement import chosen_device, memory_explained, place
from mcld.sampling.record import hash_of, png_text
from mcld.sampling.run import Batches, Work
from mcld.settings import Settings

Job = tuple[EditRequest, dict[str, Any]]
"""An edit, and what its picture records."""


def edit_recipe(
    recipe: Path,
    requests: list[EditRequest],
    weights: Path | None,
    settings: Settings,
    *,
    say: Callable[[str], None],
    on_done: Callable[[int, int], None],
) -> None:
    """Make every edit of a recipe whose picture is not there yet.

    Under `accelerate launch` each process takes its share. Edits that cannot be made are left out,
    and told at the end.

    recipe: the file that the edits are of; no other run of it may go on; requests: its edits, as
    `read_recipe` reads them. say: told, in one line each, what the user should know; on_done:
    called with (edits done, edits to do) of the main process's share; both in the main process
    only.

    Raises SettingsError when an edit's file holds another picture, and InputError, WeightsError or
    MCLDError for what else the user can mend.
    """
    state = processes()
    first = state.is_main_process
    if not first:
        say, on_done = ignore, ignore
    options = settings.sample
    device = chosen_device(options, state.device)
    pipeline = chosen_pipeline(weights, settings, say)
    hashed = hash_of(pipeline)
    place(pipeline, settings, device)
    how = how_edited(pipeline, settings)
    hash_of_content = cache(content_hash)
    records = [
        {
            **request.told(hash_of_content),
            "seed": options.seed if request.seed is None else request.seed,
            "weights": hashed,
            **how,
        }
        for request in requests
    ]
    with ExitStack() as held:
        jobs = list(zip(requests, records, strict=True))
        left = run_on_main(state, lambda: _begin(recipe, jobs, held))
        if len(left) < len(jobs):
            say(f"{len(jobs) - len(left):,} of {len(jobs):,} pictures are there already")
        todo = left[state.process_index :: state.num_processes]
        reader = PersonReader(
            settings.prepare, "cpu" if options.low_memory else str(device), cache(say)
        )
        posed = lru_cache(REMEMBERED)(reader.posed)
        works = [_work(*job, pipeline, reader, posed) for job in todo]

        def encoded(inputs: list[EditInputs]) -> list[FocalConditions]:
            return encode(pipeline, inputs)

        for request, _ in todo:
            if request.changes_nothing:
                say(f"{request.out}: no edit is given, the person is repainted as they are")
        with memory_explained(options, pipeline, options.batch_size):
            failed = Batches(pipeline, encoded, options, how, device).make(works, on_done)
        counts = gather_object([(len(todo), failed)])
    reasons = [reason for _, failed in counts for reason in failed]
    if reasons:
        for reason in reasons[1:]:
            say(f"Left out: {reason}")
        total = sum(edits for edits, _ in counts)
        raise MCLDError(f"{len(reasons):,} of {total:,} edits could not be made: {reasons[0]}")


def _begin(recipe: Path, jobs: list[Job], held: ExitStack) -> list[Job]:
    """Hold the recipe, check what lies where it writes, and clean up after a killed run.

    Returns the jobs that have no picture yet.
    """
    held.enter_context(only_run_of(recipe))
    for request, _ in jobs:
        check_writable(request.out)
    left = [(request, record) for request, record in jobs if not _done(request, record)]
    remove_unfinished_of(request.out for request, _ in jobs)
    return left


def _done(request: EditRequest, record: dict[str, Any]) -> bool:
    """Whether the picture is there. Raises SettingsError when the file is another picture."""
    if not request.out.exists():
        return False
    remedy = "remove it, or give another `out`"
    try:
        with Image.open(request.out) as picture:
            earlier = json.loads(getattr(picture, "text", {}).get("mcld", "null"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{request.out} cannot be read: {error}; {remedy}") from error
    if not isinstance(earlier, dict):
        raise SettingsError(f"{request.out} was not made by an edit: {remedy}")
    now = {**json.loads(json.dumps(record)), "version": __version__}
    if changed := [k for k in {**now, **earlier} if now.get(k) != earlier.get(k)]:
        raise SettingsError(
            f"{request.out} is another picture than this edit's, by {', '.join(changed)}: {remedy}"
        )
    return True


def _work(
    request: EditRequest,
    record: dict[str, Any],
    pipeline: MCLDPipeline,
    reader: PersonReader,
    posed: Callable[..., Any],
) -> Work[EditInputs]:
    def read() -> EditInputs:
        source, edits = read_edit(request, reader, posed)
        if request.face is None and not source.has_face:
            reader.say(no_face_known(source.name))
        for guess in guesses(source, edits):
            reader.say(f"{request.out}: {guess}")
        return edit_inputs(pipeline, source, edits, record["height"], record["width"])

    def write(inputs: EditInputs, pictures: torch.Tensor) -> None:
        arrays = pipeline.image_processor.pt_to_numpy(pictures)
        images = pipeline.image_processor.numpy_to_pil(arrays)
        images = finished(inputs, images, record["strength"])
        write_png(request.out, np.asarray(strip(images)), png_text(record))

    return Work(str(request.out), record["seed"], read, write)
