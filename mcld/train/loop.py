"""A training run, from a prepared dataset to a pipeline folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import (
    DistributedType,
    ProjectConfiguration,
    parse_flag_from_env,
)
from diffusers.training_utils import EMAModel
from safetensors import SafetensorError

from mcld.dataset.layout import DatasetLayout
from mcld.errors import InputError, MCLDError, SettingsError, StoppedError
from mcld.machine.files import folder_written_whole, made_folder, remove_unfinished
from mcld.machine.lock import only_run
from mcld.machine.processes import gather_whole, ignore, processes, runs_on_cpu
from mcld.mannequin.encoders import adapt_decoder, fit_autoencoder, fit_image_encoder
from mcld.mannequin.patches import Patchwork
from mcld.model import MCLD
from mcld.model.checkpoints import save_authors_files
from mcld.networks.folders import load_pipeline
from mcld.person import BATCH
from mcld.pipeline import MCLDPipeline
from mcld.settings import Settings, TrainSettings
from mcld.train import checkpoint
from mcld.train.cache import EncodedCache, cache_key
from mcld.train.checks import check_ablation, check_run, check_sharding, check_small
from mcld.train.encode import fill_cache
from mcld.train.interrupt import Interrupt
from mcld.train.pretrained import pretrained_pipeline
from mcld.train.samples import TrainingSamples
from mcld.train.start import new_pipeline, remember_sampling, remember_size
from mcld.train.steps import Trainer, TrainReport, set_up
from mcld.train.trackers import check_resumed, check_trackers, start_trackers, write_record
from mcld.train.validation import Validation


def train(
    settings: Settings,
    *,
    resume: bool,
    report: Callable[[TrainReport], None],
    say: Callable[[str], None],
) -> Path:
    """Train a network on a prepared dataset; return the folder of the finished pipeline.

    The network starts from `train.start_from`, or from Stable Diffusion in `train.pretrained`, or
    is a new one of `settings.model`'s widths. The output folder holds `start/` (the pipeline that
    training starts from), `checkpoints/`, `validation/`, the trackers' logs, and at the end
    `pipeline/` and `weights/`, the authors' four files. With `resume`, training goes on from the
    newest checkpoint that is whole.

    report: told how far each stage is; say: told in a line what a person should know; both in the
    main process only.

    Raises SettingsError, InputError, WeightsError or MCLDError for what the user can mend, and
    StoppedError on Ctrl-C and SIGTERM, once a checkpoint is written.
    """
    accelerator = _accelerator(settings.train)
    check_sharding(settings.train, accelerator)
    check_trackers(settings)
    try:
        if not accelerator.is_main_process:
            return _train(settings, accelerator, resume, ignore, ignore)
        with only_run(made_folder(settings.train.output)):
            return _train(settings, accelerator, resume, report, say)
    except torch.OutOfMemoryError as error:
        options = settings.train
        more = "" if options.gradient_checkpointing else "set train.gradient_checkpointing=true, "
        raise MCLDError(
            f"out of GPU memory with train.batch_size={options.batch_size} at"
            f" {options.height}x{options.width}: {more}lower train.batch_size and raise"
            " train.accumulation by as much, or lower train.height and train.width"
        ) from error


def _train(  # noqa: C901 - one story, read from top to bottom
    settings: Settings,
    accelerator: Accelerator,
    resume: bool,
    report: Callable[[TrainReport], None],
    say: Callable[[str], None],
) -> Path:
    options, main = settings.train, accelerator.is_main_process
    check_run(options, accelerator, resume=resume)
    layout = DatasetLayout(options.dataset)
    stems, pairs = _pictures_and_pairs(layout, say)

    # The pipeline folder, and what its encoders make of the pictures
    start = options.output / "start"
    if main:
        remove_unfinished(options.output)
        if not resume:
            _make_start(settings, layout, stems, start, accelerator.device, report)
        elif changes := check_resumed(start, settings):
            say(changes)
    accelerator.wait_for_everyone()
    check_small(options, start)
    cache = _filled_cache(options, layout, stems, start, accelerator, report)

    # The network, the optimizer, and the state of an earlier run
    pipeline = load_pipeline(start, vae=None, image_encoder=None)
    network = pipeline.network
    model, prepared, trained = set_up(network, options, accelerator)
    ema = EMAModel(trained, options.ema_decay, use_ema_warmup=True) if options.ema_decay else None
    state = checkpoint.State(network, prepared, ema, accelerator.scaler)
    images = checkpoint.load_newest(options.output, state, say) if resume else 0
    if ema:
        ema.to(accelerator.device)  # after loading, which leaves its weights on the CPU

    trainer = Trainer(
        settings, accelerator, model, prepared, trained, pipeline.config.focal_conditions
    )
    samples = TrainingSamples(
        cache,
        stems,
        pairs,
        cache.source_std(stems),
        options,
        pipeline.config.reference_input,
        _patchwork(options, start),
        pipeline.pose_guider.config.textured,
    )
    validation = _validation(settings, layout, start, accelerator, say) if main else None
    if main:
        _introduce(network, samples, images, trainer, say)
    start_trackers(accelerator, settings)
    with Interrupt() as interrupt:
        for seen, step in trainer.steps(samples, images):
            if ema:
                ema.step(trained)
            report(step)
            accelerator.log(step.values(), step=seen)
            stop = interrupt.anywhere(accelerator)
            last = seen + trainer.total_batch > options.images
            due = seen % options.checkpoint_every < trainer.total_batch
            if due or last or stop:
                checkpoint.save(options.output, seen, state, options.keep, main=main)
            if validation and (seen % options.validate_every < trainer.total_batch or last):
                with _averaged(ema, trained):
                    validation.run(network, accelerator, seen, say)
            if stop and not last:
                raise StoppedError(
                    f"interrupted after {seen:,} pictures, which are saved in {options.output}:"
                    " go on with --resume"
                )

    if ema:
        ema.copy_to(trained)
    weights = gather_whole(network.state_dict(), keep=main)
    if main:
        names = [(stems[source], stems[target]) for source, target in pairs.tolist()]
        _finish(weights, layout, names, settings, accelerator.device, report)
    accelerator.end_training()
    return options.output / "pipeline"


def _accelerator(options: TrainSettings) -> Accelerator:
    if parse_flag_from_env("ACCELERATE_USE_DEEPSPEED"):
        raise SettingsError(
            "accelerate's configuration asks for DeepSpeed, which mcld does not train with: choose"
            " FSDP with fsdp_version: 2, or plain multi-GPU"
        )
    processes()
    try:
        return Accelerator(
            cpu=runs_on_cpu(),
            mixed_precision=options.precision,
            log_with=list(options.trackers),
            project_config=ProjectConfiguration(
                project_dir=str(options.output), logging_dir=str(options.output / "logs")
            ),
            gradient_accumulation_steps=options.accumulation,
        )
    except ValueError as error:
        raise SettingsError(
            f"train.precision={options.precision} cannot be had: {error}"
        ) from error


def _make_start(
    settings: Settings,
    layout: DatasetLayout,
    stems: list[str],
    folder: Path,
    device: torch.device,
    report: Callable[[TrainReport], None],
) -> None:
    """Write the pipeline folder that training starts from, with its frozen encoders."""
    if settings.train.start_from:
        pipeline = load_pipeline(settings.train.start_from)
        check_ablation(settings, pipeline)
        remember_sampling(pipeline, settings)
    elif settings.train.pretrained:
        pipeline = pretrained_pipeline(settings)
    else:
        pipeline = new_pipeline(settings)
        pipeline.vae.to(device)
        pipeline.image_encoder.to(device)
        counted = _counter(report, "Training the autoencoder")
        fit_autoencoder(pipeline, layout, stems, settings, counted)
        counted = _counter(report, "Training the image encoder")
        fit_image_encoder(pipeline, layout, stems, settings, counted)
    if settings.model.pose_input == "textured" and not pipeline.pose_guider.config.textured:
        pipeline.pose_guider.add_texture()
        # A label blended with its neighbour's is another part, whose texels would be looked up.
        pipeline.register_to_config(pose_resample="nearest")
    remember_size(pipeline, settings.train)
    _save(pipeline, folder, settings)


def _patchwork(options: TrainSettings, start: Path) -> Patchwork | None:
    """What paints people in patches, if any shall be, with the encoders alone."""
    if not options.patchwork:
        return None
    unneeded = dict.fromkeys(("denoising_unet", "reference_unet", "pose_guider", "image_projector"))
    return Patchwork(load_pipeline(start, **unneeded), (options.height, options.width))


def _filled_cache(
    options: TrainSettings,
    layout: DatasetLayout,
    stems: list[str],
    folder: Path,
    accelerator: Accelerator,
    report: Callable[[TrainReport], None],
) -> EncodedCache:
    """What the encoders in the pipeline `folder` make of all pictures, a share in each process."""
    size = (options.height, options.width)
    place = options.dataset / "cache"
    if options.cache:  # datasets may have names in common
        dataset = str(options.dataset.resolve()).encode()
        place = options.cache / hashlib.sha256(dataset).hexdigest()[:8]
    cache = EncodedCache(place / cache_key(folder, size), layout, "train")
    share = stems[accelerator.process_index :: accelerator.num_processes]
    missing = cache.missing(share)
    if missing:
        pipeline = load_pipeline(folder)
        pipeline.vae.to(accelerator.device)
        pipeline.image_encoder.to(accelerator.device)
        counted = _counter(report, "Encoding pictures")
        fill_cache(
            cache,
            pipeline,
            missing,
            size,
            lambda done: counted(done, len(missing)),
            min(BATCH, options.batch_size),
        )
    accelerator.wait_for_everyone()
    return cache


def _introduce(
    network: MCLD,
    samples: TrainingSamples,
    images: int,
    trainer: Trainer,
    say: Callable[[str], None],
) -> None:
    """Say what will be trained, on what, and where."""
    options, accelerator = trainer.options, trainer.accelerator
    for name, part in network.named_children():
        trained = sum(p.numel() for p in part.parameters() if p.requires_grad)
        frozen = sum(p.numel() for p in part.parameters()) - trained
        left = f", {frozen / 1e6:.3g} M frozen or unused" if frozen else ""
        say(f"{name}: {trained / 1e6:.3g} M parameters to train{left}")
    steps = max(0, options.images - images) // trainer.total_batch
    begun = f" after {images:,} pictures" if images else ""
    say(
        f"{len(samples.pairs):,} pairs of {len(samples.stems):,} pictures at"
        f" {options.height}x{options.width}; {steps:,} steps of {trainer.total_batch}{begun}"
    )
    if not steps:
        say(
            f"nothing is left to train: of train.images={options.images:,}, {images:,} are seen in"
            f" steps of {trainer.total_batch}"
        )
    megabytes = samples.cache.size(samples.stems) / 1e6
    say(f"encoded pictures: {megabytes:,.0f} MB in {samples.cache.folder}")
    precision = {"no": "float32"}.get(options.precision, options.precision)
    processes = accelerator.num_processes
    share = f", {processes} processes" if processes > 1 else ""
    say(f"device: {accelerator.device}, {precision}{share}")


def _validation(
    settings: Settings,
    layout: DatasetLayout,
    folder: Path,
    accelerator: Accelerator,
    say: Callable[[str], None],
) -> Validation | None:
    """The validation sheets, where they are wanted and there are pairs for them."""
    if not settings.train.validate_every:
        return None
    if accelerator.distributed_type == DistributedType.FSDP:
        say("no validation sheets: no process has the whole network under FSDP")
        return None
    pairs = layout.pairs("test") if layout.pairs_file("test").exists() else []
    prepared = [
        (Path(source).stem, Path(target).stem)
        for source, target in pairs
        if layout.prepared("test", Path(source).stem) and layout.prepared("test", Path(target).stem)
    ]
    if not prepared:
        say("no validation sheets: no pair of the test split is prepared")
        return None
    return Validation(settings, layout, prepared, folder)


@contextmanager
def _averaged(ema: EMAModel | None, trained: list[torch.nn.Parameter]) -> Iterator[None]:
    """The averaged weights in place of the trained ones, if they are averaged at all."""
    if ema is None:
        yield
        return
    ema.store(trained)
    ema.copy_to(trained)
    try:
        yield
    finally:
        ema.restore(trained)


def _finish(
    weights: dict[str, torch.Tensor],
    layout: DatasetLayout,
    pairs: list[tuple[str, str]],
    settings: Settings,
    device: torch.device,
    report: Callable[[TrainReport], None],
) -> None:
    """Write the trained network, its decoder adapted if it shall be.

    As a pipeline folder, and without the encoders in the authors' four files.
    """
    pipeline = load_pipeline(settings.train.output / "start")
    pipeline.network.load_state_dict(weights)
    if settings.train.adapt_decoder_images:
        pipeline.to(device)
        counted = _counter(report, "Adapting the decoder")
        adapt_decoder(pipeline, layout, pairs, settings, counted)
    if settings.train.save_dtype == "float16":
        for part in (pipeline.network, pipeline.vae, pipeline.image_encoder):
            part.half()
    with folder_written_whole(settings.train.output / "weights") as temporary:
        save_authors_files(pipeline.network.state_dict(), temporary)
        write_record(temporary, settings)
    _save(pipeline, settings.train.output / "pipeline", settings)


def _save(pipeline: MCLDPipeline, folder: Path, settings: Settings) -> None:
    """Write the pipeline folder, with how it came about beside the weights."""
    with folder_written_whole(folder) as temporary:
        try:
            pipeline.save_pretrained(temporary)
        except SafetensorError as error:  # how safetensors says that the disk is full
            raise MCLDError(f"cannot write {folder}: {error}") from error
        write_record(temporary, settings)


def _pictures_and_pairs(
    layout: DatasetLayout, say: Callable[[str], None]
) -> tuple[list[str], torch.Tensor]:
    """The stems of the prepared training pictures, and the pairs as rows of them, int64 [P, 2]."""
    listed = [name.removesuffix(".jpg") for name in layout.names("train")]
    stems = [stem for stem in listed if layout.prepared("train", stem)]
    row = {f"{stem}.jpg": k for k, stem in enumerate(stems)}
    wanted = layout.pairs("train")
    pairs = [(row[a], row[b]) for a, b in wanted if a in row and b in row]
    if len(stems) < len(listed):
        say(
            f"{len(listed) - len(stems):,} of {len(listed):,} listed pictures are not prepared, and"
            f" are left out with {len(wanted) - len(pairs):,} of {len(wanted):,} pairs"
        )
    if not pairs:
        raise InputError(
            f"{layout.pairs_file('train')} names no pair of prepared pictures: run `mcld prepare"
            f" {layout.root}` to the end"
        )
    return stems, torch.tensor(pairs)


def _counter(report: Callable[[TrainReport], None], stage: str) -> Callable[[int, int], None]:
    return lambda done, total: report(TrainReport(stage, done, total))
