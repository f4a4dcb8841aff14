"""A recipe: trainings one after the other, each further from what came before.

config: mannequin.yaml         # beside the recipe: what all of them share
stages:
- train: {images: 66000}     # settings of one training, in their groups
- train: {images: 44000, seed: 2}
mannequin: {patches: 1}
adapt_decoder_images: 32000
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mcld.dataset.layout import DatasetLayout
from mcld.errors import SettingsError
from mcld.machine.files import make_folder, write_folder_whole
from mcld.machine.lock import hold_folder
from mcld.machine.processes import ignore, processes, run_on_main
from mcld.machine.yaml_file import read_yaml
from mcld.mannequin.autoencoder import PatchAutoencoder
from mcld.mannequin.decoder import adapt_decoder
from mcld.networks.folders import load_pipeline
from mcld.settings import Settings, load_settings
from mcld.train import checkpoint
from mcld.train.finish import save_pipeline
from mcld.train.loop import train
from mcld.train.report import Report, TrainReport, count_stage
from mcld.train.samples import find_pairs
from mcld.train.trackers import check_resumed

ADAPTATION = "adapt_decoder_images"


@dataclass(frozen=True)
class TrainStage:
    """One training of a recipe."""

    settings: Settings
    """With `train.output`, a folder in that of the recipe, and `train.start_from`."""
    adapt_decoder_images: int
    """Pictures, or crops for a refiner, on which a small autoencoder's decoder then learns from
    what the network samples; 0: none."""

    @property
    def trained(self) -> Path:
        """The pipeline folder of the training."""
        return self.settings.train.output / "pipeline"

    @property
    def result(self) -> Path:
        """The pipeline folder that the next training starts from."""
        return self.settings.train.output / "adapted" if self.adapt_decoder_images else self.trained


def read_stages(recipe: Path, overrides: list[str]) -> list[TrainStage]:
    """The trainings of a YAML file; overrides: of the settings of all, as `load_settings` has them.

    Raises SettingsError for what is wrong with the file or the settings.
    """
    content = read_yaml(recipe, "--recipe")
    known = isinstance(content, dict) and content.keys() <= {"config", "stages"}
    entries = content.get("stages") if known else None
    if not isinstance(entries, list) or not entries:
        raise SettingsError(
            f"{recipe} must hold `stages:`, a list of trainings, and may a `config:`"
        )
    config = recipe.parent / content["config"] if content.get("config") else None
    stages: list[TrainStage] = []
    for number, entry in enumerate(entries, 1):
        where = f"{recipe}, stage {number}"
        if not isinstance(entry, dict):
            raise SettingsError(f"{where}: give settings in their groups, such as `train:`")
        groups = {name: fields for name, fields in entry.items() if name != ADAPTATION}
        settings = load_settings(config, overrides, (where, groups))
        changes: dict[str, Any] = {"output": settings.train.output / str(number)}
        if stages:
            changes["start_from"] = stages[-1].result
        settings = settings.model_copy(update={"train": settings.train.model_copy(update=changes)})
        stages.append(TrainStage(settings, _read_count(entry.get(ADAPTATION, "0"), where)))
    return stages


def _read_count(text: Any, where: str) -> int:
    if not isinstance(text, str) or not text.isdecimal():
        raise SettingsError(f"{where}: {ADAPTATION} cannot be {text!r}: give a whole number")
    return int(text)


def train_recipe(
    recipe: Path, overrides: list[str], *, report: Report, say: Callable[[str], None]
) -> Path:
    """Run the trainings of a recipe that are not finished; return the folder of the last pipeline.

    Each has a numbered folder in `train.output`, where the last one's pipeline is copied to. One
    that was broken off goes on at its newest checkpoint.

    report: told how far each stage of each training is; say: told in a line what a person should
    know; both in the main process only.

    Raises as `train` does, and SettingsError when a finished training had other settings.
    """
    stages = read_stages(recipe, overrides)
    output = stages[0].settings.train.output.parent
    if not processes().is_main_process:
        return _run(stages, output, ignore, ignore)
    with hold_folder(make_folder(output)):
        return _run(stages, output, report, say)


def _run(
    stages: list[TrainStage], output: Path, report: Report, say: Callable[[str], None]
) -> Path:
    for number, stage in enumerate(stages, 1):
        numbered = f"{number}/{len(stages)}"

        def report_stage(now: TrainReport, numbered: str = numbered) -> None:
            report(replace(now, stage=f"{numbered} {now.stage}"))

        _run_stage(stage, numbered, report_stage, say)
    if processes().is_main_process:
        with write_folder_whole(output / "pipeline") as temporary:
            shutil.copytree(stages[-1].result, temporary, dirs_exist_ok=True)
    return output / "pipeline"


def _run_stage(
    stage: TrainStage, numbered: str, report: Report, say: Callable[[str], None]
) -> None:
    state, run = processes(), stage.settings.train.output
    if not run_on_main(state, lambda: _is_finished(stage, stage.trained)):
        begun = run_on_main(state, lambda: bool(checkpoint.checkpoints(run)))
        say(f"Training {numbered}" + (", from its newest checkpoint" if begun else ""))
        train(stage.settings, resume=begun, report=report, say=say)
    if state.is_main_process and not _is_finished(stage, stage.result):
        _adapt(stage, report)
    state.wait_for_everyone()


def _is_finished(stage: TrainStage, folder: Path) -> bool:
    """Whether a folder is there. Raises SettingsError when it was made with other settings."""
    if not folder.is_dir():
        return False
    if changes := check_resumed(folder, stage.settings):
        raise SettingsError(
            f"{folder}: {changes}; remove {stage.settings.train.output}, or set them back"
        )
    return True


def _adapt(stage: TrainStage, report: Report) -> None:
    """Let the decoder learn from what the trained network samples; write the result."""
    settings = stage.settings
    pipeline = load_pipeline(stage.trained)
    if not isinstance(pipeline.vae, PatchAutoencoder):
        raise SettingsError(
            f"{ADAPTATION} is for the small autoencoder of a new network: leave it out"
        )
    pipeline.to(processes().device)
    layout = DatasetLayout(settings.train.dataset)
    stems, rows = find_pairs(layout, ignore)
    adapt_decoder(
        pipeline,
        layout,
        [(stems[source], stems[target]) for source, target in rows.tolist()],
        settings.train,
        images=stage.adapt_decoder_images,
        on_image=count_stage(report, "Adapting the decoder"),
    )
    pipeline.to("cpu")
    for part in (pipeline.vae, pipeline.refiner):
        if part is not None:
            part.to(memory_format=torch.contiguous_format)
    save_pipeline(pipeline, stage.result, settings)
