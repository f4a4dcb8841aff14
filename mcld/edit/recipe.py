"""A recipe: many edits, in a YAML list."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mcld import __version__
from mcld.conditions import FocalConditions
from mcld.dataset.outputs import hash_content
from mcld.dataset.pictures import read_text, write_png
from mcld.edit.edits import (
    ROWS,
    EditedPeople,
    apply_edits,
    blend_rows,
    finish,
    read_edit_inputs,
)
from mcld.edit.picture import (
    REMEMBERED,
    find_source_type,
    join_strip,
    read_edit,
    record_edit,
    warn_of_edit,
)
from mcld.edit.request import EditRequest
from mcld.errors import InputError, SettingsError
from mcld.machine.files import remove_unfinished_files
from mcld.machine.lock import hold_file
from mcld.person.reader import PersonReader
from mcld.pipeline_inputs import PipelineInputs
from mcld.sampling.open import OpenPipeline
from mcld.sampling.paint import as_images
from mcld.sampling.record import make_provenance
from mcld.sampling.run import PictureRun, encode_in_one_batch, run_many
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
) -> int:
    """Make every edit of a recipe whose picture is not there yet; return how many. See `run_many`.

    recipe: the file that the edits are of; no other run of it may go on; requests: its edits, as
    `read_recipe` reads them. say: told, in one line each, what the user should know; on_done:
    called with (edits done, edits to do) of the main process's share; both in the main process
    only.

    Raises SettingsError when an edit's file holds another picture, and InputError, WeightsError or
    MCLDError for what else the user can mend.
    """

    def make_run(opened: OpenPipeline, say: Callable[[str], None]) -> RecipeRun:
        return RecipeRun(recipe, requests, opened, settings, say)

    return run_many(make_run, weights, settings, say=say, on_job=on_done)


class RecipeRun(PictureRun[Job, tuple[EditedPeople, PipelineInputs]]):
    """The edits of a recipe."""

    unit = "edits"

    def __init__(
        self,
        recipe: Path,
        requests: list[EditRequest],
        opened: OpenPipeline,
        settings: Settings,
        say: Callable[[str], None],
    ) -> None:
        self.recipe = recipe
        place = "cpu" if settings.sample.low_memory else str(opened.device)
        self.say = cache(say)
        embedder = opened.pipeline.config.face_embedder
        self.reader = PersonReader(settings.prepare, place, self.say, embedder)
        self.read_person = lru_cache(REMEMBERED)(self.reader.person)
        hash_once = cache(hash_content)
        jobs: list[Job] = [
            (request, record_edit(request, opened, settings, hash_once)) for request in requests
        ]
        super().__init__(opened, jobs)

    def begin(self, held: ExitStack) -> list[Job]:
        """Hold the recipe, check what lies where it writes, and clean up after a killed run."""
        held.enter_context(hold_file(self.recipe))
        left = [job for job in self.jobs if not _is_done(*job)]
        remove_unfinished_files(request.out for request, _ in self.jobs)
        for request, _ in left:
            if request.changes_nothing:
                self.say(f"{request.out}: no edit is given, the person is repainted as they are")
        return left

    def name(self, job: Job) -> str:
        """The file that it writes."""
        return str(job[0].out)

    def seed(self, job: Job) -> int:
        """The edit's own, or else that of the settings."""
        seed: int = job[1]["seed"]
        return seed

    def read(self, job: Job) -> tuple[EditedPeople, PipelineInputs]:
        """Carry the edit out on photo, texture map and face."""
        request, _ = job
        source, edits = read_edit(request, self.reader, self.read_person)
        warn_of_edit(request, source, edits, self.say)
        edited = apply_edits(source, edits)
        return edited, read_edit_inputs(self.opened.pipeline, edited, self.opened.options)

    def encode(self, inputs: list[tuple[EditedPeople, PipelineInputs]]) -> list[FocalConditions]:
        """A picture an edit; of an interpolation, several."""
        rows = encode_in_one_batch(self.opened, [read for _, read in inputs], ROWS)
        conditions = []
        for edited, read in inputs:
            conditions.append(blend_rows(edited, rows[: len(read.face)]))
            rows = rows[len(read.face) :]
        return conditions

    def write(
        self, job: Job, inputs: tuple[EditedPeople, PipelineInputs], pictures: torch.Tensor
    ) -> None:
        """Write the picture, or the strip."""
        request, record = job
        options = self.opened.options
        finished = finish(inputs[0], as_images(pictures), record["strength"], options)
        made = make_provenance(record, self.opened.signer, find_source_type(request, record))
        write_png(request.out, np.asarray(join_strip(finished)), made)


def _is_done(request: EditRequest, record: dict[str, Any]) -> bool:
    """Whether the picture is there. Raises SettingsError when the file is another picture."""
    if not request.out.exists():
        return False
    remedy = "remove it, or give another `out`"
    try:
        earlier = json.loads(read_text(request.out).get("mcld", "null"))
    except (InputError, ValueError) as error:
        raise InputError(f"{request.out} cannot be read: {error}; {remedy}") from error
    if not isinstance(earlier, dict):
        raise SettingsError(f"{request.out} was not made by an edit: {remedy}")
    now = {**json.loads(json.dumps(record)), "version": __version__}
    if changed := [k for k in {**now, **earlier} if now.get(k) != earlier.get(k)]:
        raise SettingsError(
            f"{request.out} is another picture than this edit's, by {', '.join(changed)}: {remedy}"
        )
    return True
