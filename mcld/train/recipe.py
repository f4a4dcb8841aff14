"""Running the trainings of a recipe, each further from what came before."""

import hashlib
import json
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
from mcld.mannequin.decoder import Going, adapt_decoder, add_refiner, choose_pairs, sample_pairs
from mcld.networks.checkpoints import weights_hash
from mcld.networks.folders import load_pipeline
from mcld.person.prepared import BATCH
from mcld.pipeline import MCLDPipeline
from mcld.train.cache import EncodedCache
from mcld.train.finish import round_weights, save_pipeline
from mcld.train.interrupt import Interrupt
from mcld.train.loop import train
from mcld.train.plan import checkpoints, find_pairs
from mcld.train.report import Report, TrainReport, count_noun, count_stage
from mcld.train.stages import ADAPTATION, STAGE_FILE, TrainStage, check_recipe, is_finished

ADAPTING = "adapting"
"""Folder of a stage with what it has sampled and learnt to adapt the decoder."""


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
    try:
        if not processes().is_main_process:
            return _run(stages, output, ignore, ignore)
        with hold_folder(make_folder(output)):
            return _run(stages, output, report, say)
    except KeyboardInterrupt as error:  # between two things that say it themselves
        raise StoppedError(
            f"interrupted: what is finished is saved in {output}: the same command goes on"
        ) from error


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
        run_on_main(state, lambda: _remove_sampled(stage))
        say(f"Training {numbered} is finished already")
        return
    begun = run_on_main(state, lambda: bool(checkpoints(run)))
    say(f"Training {numbered}" + (", from its newest checkpoint" if begun else ""))
    try:
        train(stage.settings, resume=begun, report=report, say=say)
    except StoppedError as error:
        saved = checkpoints(run)
        where = (
            f"of which {int(saved[-1].name):,} pictures are saved in {run}"
            if saved
            else "before its first checkpoint; the pictures that were encoded are kept"
        )
        raise StoppedError(
            f"interrupted in training {numbered}, {where}: the same command goes on"
        ) from error
    run_on_main(state, lambda: _finish(stage, numbered, report, say))


def _finish(stage: TrainStage, numbered: str, report: Report, say: Callable[[str], None]) -> None:
    """Adapt the decoder, if it shall be, and note that the stage is finished."""
    run = stage.settings.train.output
    if stage.adapt_decoder_images:
        try:
            _adapt(stage, report, say)
        except (KeyboardInterrupt, StoppedError) as error:
            raise StoppedError(
                f"interrupted while the decoder of training {numbered} was adapted; the network and"
                f" what was sampled and learnt are saved in {run}: the same command goes on"
            ) from error
    write_json(run / STAGE_FILE, stage.record())
    _remove_sampled(stage)


def _remove_sampled(stage: TrainStage) -> None:
    """Remove what an adaptation needs to go on, once the stage is finished."""
    shutil.rmtree(stage.settings.train.output / ADAPTING, ignore_errors=True)


def _adapt(stage: TrainStage, report: Report, say: Callable[[str], None]) -> None:
    """Let the decoder learn from what the trained network samples; write the result."""
    settings, images = stage.settings, stage.adapt_decoder_images
    pipeline = load_pipeline(stage.trained)
    if not isinstance(pipeline.vae, PatchAutoencoder):
        raise SettingsError(
            f"{ADAPTATION} is for the small autoencoder of a new network: leave it out"
        )
    widths = settings.mannequin
    add_refiner(pipeline, widths.refiner_channels, widths.refiner_scale, settings.train.seed)
    pipeline.to(processes().device)
    layout = DatasetLayout(settings.train.dataset)
    stems, rows = find_pairs(layout, ignore)
    pairs = [(stems[source], stems[target]) for source, target in rows]
    chosen = choose_pairs(pairs, images)
    what = "picture" if pipeline.refiner is None else "crop"
    say(
        f"Adapting the decoder: {len(chosen):,} of {count_noun(len(pairs), 'pair')} are sampled,"
        f" then {count_noun(images, what)} of what came out are learnt from"
    )
    folder = settings.train.output / ADAPTING / _hash_sampled(pipeline, stage, layout, chosen)
    for other in folder.parent.glob("*"):
        if other != folder:  # of a network that was trained otherwise
            shutil.rmtree(other, ignore_errors=True)
    generator = torch.Generator().manual_seed(settings.train.seed)
    sampling = count_stage(report, "Sampling for the decoder")
    sampled = sample_pairs(pipeline, layout, chosen, settings.train, generator, folder, sampling)
    with Interrupt() as interrupt:
        adapt_decoder(
            pipeline,
            sampled,
            images=images,
            generator=generator,
            on_image=count_stage(report, "Adapting the decoder"),
            # float16 would need its gradients scaled
            precision=torch.bfloat16 if settings.train.precision == "bf16" else torch.float32,
            going=Going(
                folder / "decoder.pt", settings.train.checkpoint_every, lambda: interrupt.wanted
            ),
        )
    pipeline.to("cpu")
    for part in (pipeline.vae, pipeline.refiner):
        if part is not None:
            part.to(memory_format=torch.contiguous_format)
    round_weights(pipeline, stage.save_dtype)
    save_pipeline(pipeline, stage.result, settings)


def _hash_sampled(
    pipeline: MCLDPipeline, stage: TrainStage, layout: DatasetLayout, pairs: list[tuple[str, str]]
) -> str:
    """What decides all that an adaptation samples and learns: 16 hex digits."""
    parts = {n: p for n, p in pipeline.components.items() if isinstance(p, torch.nn.Module)}
    options = stage.settings.train
    pictures = EncodedCache(Path(), layout, "train")
    facts = [
        {name: weights_hash(part.state_dict()) for name, part in parts.items()},
        {name: value for name, value in pipeline.config.items() if not name.startswith("_")},
        [options.height, options.width, min(BATCH, options.batch_size), options.seed],
        options.precision,
        stage.adapt_decoder_images,
        [(pair, *map(pictures.made_from, pair)) for pair in pairs],
    ]
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:16]
