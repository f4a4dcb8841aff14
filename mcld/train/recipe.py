"""Running the trainings of a recipe, each further from what came before."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from mcld.dataset.layout import DatasetLayout
from mcld.errors import SettingsError, StoppedError
from mcld.machine.files import make_folder, write_folder_whole, write_json
from mcld.machine.lock import hold_folder
from mcld.machine.processes import ignore, processes, run_on_main
from mcld.mannequin.autoencoder import PatchAutoencoder
from mcld.mannequin.decoder import adapt_decoder
from mcld.networks.folders import load_pipeline
from mcld.train.finish import round_weights, save_pipeline
from mcld.train.loop import train
from mcld.train.plan import checkpoints, find_pairs
from mcld.train.report import Report, TrainReport, count_stage
from mcld.train.stages import ADAPTATION, STAGE_FILE, TrainStage, check_recipe, is_finished


def train_recipe(stages: list[TrainStage], *, report: Report, say: Callable[[str], None]) -> Path:
    """Run the trainings of a recipe that are not finished; return the folder of the last pipeline.

    Each has a numbered folder in `train.output`, where the last one's pipeline is copied to. One
    that was broken off goes on at its newest checkpoint.

    report: told how far each stage of each training is; say: told in a line what a person should
    know; both in the main process only.

    Raises as `train` does, and SettingsError when a finished training had other settings.
    """
    check_recipe(stages, int(processes().num_processes))
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
    if run_on_main(state, lambda: is_finished(stage)):
        say(f"Training {numbered} is finished already")
        return
    begun = run_on_main(state, lambda: bool(checkpoints(run)))
    say(f"Training {numbered}" + (", from its newest checkpoint" if begun else ""))
    try:
        train(stage.settings, resume=begun, report=report, say=say)
    except StoppedError as error:
        raise StoppedError(
            f"interrupted in training {numbered}, which is saved: the same command goes on"
        ) from error
    run_on_main(state, lambda: _finish(stage, report))


def _finish(stage: TrainStage, report: Report) -> None:
    """Adapt the decoder, if it shall be, and note that the stage is finished."""
    if stage.adapt_decoder_images:
        _adapt(stage, report)
    write_json(stage.settings.train.output / STAGE_FILE, stage.record())


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
        [(stems[source], stems[target]) for source, target in rows],
        settings.train,
        images=stage.adapt_decoder_images,
        on_image=count_stage(report, "Adapting the decoder"),
    )
    pipeline.to("cpu")
    for part in (pipeline.vae, pipeline.refiner):
        if part is not None:
            part.to(memory_format=torch.contiguous_format)
    round_weights(pipeline, stage.save_dtype)
    save_pipeline(pipeline, stage.result, settings)
