"""A training run, from a prepared dataset to a pipeline folder."""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.views import draw_views
from mcld.errors import MCLDError, SettingsError, StoppedError
from mcld.machine.accelerator import ran_out_of_memory
from mcld.machine.files import make_folder, remove_unfinished
from mcld.machine.lock import hold_folder
from mcld.machine.processes import gather_whole, ignore
from mcld.mannequin.patches import Patches
from mcld.mannequin.pose_guider import TexturedPoseGuider
from mcld.mannequin.texture_maps import TextureMaps
from mcld.model.attention import ReferenceFlows
from mcld.networks.folders import load_pipeline
from mcld.person.prepared import check_prepared
from mcld.pipeline import SCALE_FACTOR, ddim_scheduler
from mcld.settings import Settings, TrainSettings
from mcld.train import checkpoint
from mcld.train.cache import EncodedCache
from mcld.train.checks import (
    check_correspondence,
    check_optimizer,
    check_patches,
    check_sharding,
)
from mcld.train.correspondence import correspondence_error
from mcld.train.encode import share_cache
from mcld.train.finish import save_trained
from mcld.train.finite import explain_not_finite
from mcld.train.interrupt import Interrupt
from mcld.train.loading import explain_lost_process, load_batches
from mcld.train.log import StepLog
from mcld.train.loss import face_mask, mcld_loss, min_snr_weights
from mcld.train.plan import check_run, describe_saved, find_pairs
from mcld.train.post_hoc_ema import PostHocEMA
from mcld.train.report import Report, TrainReport, count_stage, introduce
from mcld.train.samples import (
    Augment,
    Batch,
    BatchSampler,
    TrainingSamples,
)
from mcld.train.setup import make_accelerator, prepare_network
from mcld.train.snapshots import remove_newer_snapshots
from mcld.train.start import make_start
from mcld.train.trackers import check_resumed, start_trackers
from mcld.train.validation import Validation


def train(settings: Settings, *, resume: bool, report: Report, say: Callable[[str], None]) -> Path:
    """Train a network on a prepared dataset; return the folder of the finished pipeline.

    The network starts from `train.start_from`, or from Stable Diffusion in `train.pretrained`, or
    is a new one of `settings.mannequin`'s widths. The output folder holds `start/` (the pipeline
    that training starts from), `checkpoints/`, `snapshots/`, `validation/`, the trackers' logs, and
    at the end `pipeline/` and `weights/`, the authors' four files. With `resume`, training goes on
    from the newest checkpoint that is whole.

    report: told how far each stage is; say: told in a line what a person should know; both in the
    main process only.

    Raises SettingsError, InputError, WeightsError or MCLDError for what the user can mend, and
    StoppedError on Ctrl-C and SIGTERM, with what is saved: in training, the step in hand.
    """
    accelerator = make_accelerator(settings.train)
    check_sharding(settings.train, accelerator)
    check_optimizer(settings.train, accelerator.device)
    check_run(settings.train, processes=int(accelerator.num_processes), resume=resume)
    told = say if accelerator.is_main_process else ignore
    check_prepared(DatasetLayout(settings.train.dataset), settings.prepare, told, faces=True)
    try:
        if not accelerator.is_main_process:
            return _train(settings, accelerator, resume, ignore, ignore)
        with hold_folder(make_folder(settings.train.output)):
            return _train(settings, accelerator, resume, report, say)
    except KeyboardInterrupt as error:
        raise StoppedError(f"interrupted {describe_saved(settings.train.output)}") from error
    except RuntimeError as error:
        if not ran_out_of_memory(error):
            raise
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
    report: Report,
    say: Callable[[str], None],
) -> Path:
    options, main = settings.train, accelerator.is_main_process
    layout = DatasetLayout(options.dataset)
    stems, pairs = find_pairs(layout, say)

    # The pipeline folder that training starts from, and what its encoders make of the pictures
    start = options.output / "start"
    if main:
        remove_unfinished(options.output)
        if not resume:
            make_start(settings, layout, stems, start, accelerator.device, report)
        elif changes := check_resumed(start, settings):
            say(changes)
    accelerator.wait_for_everyone()
    pipeline = load_pipeline(start)
    check_patches(settings, pipeline)
    check_correspondence(options, pipeline)
    encoding = count_stage(report, "Encoding pictures")
    pictures = stems
    if options.views > 1:
        stems, pairs = draw_views(pictures, pairs, options.views, options.seed)
        several = sum(source >= len(pictures) for source, _ in pairs)
        if not several:
            raise SettingsError(
                f"train.views={options.views}: by their names no two pictures but source and target"
                " show one person in the same clothes (ann_front and ann_back do): set it to 1"
            )
        say(f"gathered from several pictures: the sources of {several:,} of {len(pairs):,} pairs")
    cache = share_cache(pipeline, options, layout, stems, start, accelerator, encoding)
    textured = isinstance(pipeline.pose_guider, TexturedPoseGuider)
    maps = None
    if textured or options.correspondence:
        maps = _unpack_textures(cache, stems, accelerator, report)
    samples = TrainingSamples(
        cache,
        stems,
        torch.tensor(pairs),
        cache.source_std(pictures),
        options,
        pipeline.config.reference_input,
        maps.warp if maps and textured else None,
        maps.find_shown if maps and options.correspondence else None,
    )

    # The network, the optimizer, and the state of an earlier run
    network = pipeline.network
    model, optimizer, trained = prepare_network(network, options, accelerator)
    ema = EMAModel(trained, options.ema_decay, use_ema_warmup=True) if options.ema_decay else None
    post_hoc_ema = PostHocEMA(network, options.post_hoc_ema) if options.post_hoc_ema else None
    state = checkpoint.State(network, optimizer, ema, accelerator.scaler, post_hoc_ema)
    images = checkpoint.load_newest(options.output, state, say) if resume else 0
    if ema:
        ema.to(accelerator.device)  # after loading, which leaves its weights on the CPU
    validation = augment = None
    if main:
        remove_newer_snapshots(options.output, images)
        validation = Validation.of_test_split(settings, layout, pipeline, accelerator, say)
        introduce(network, samples, images, options, accelerator, say)
    if settings.mannequin.patches:
        size = options.height, options.width
        pipeline.vae.to(accelerator.device)
        pipeline.image_encoder.to(accelerator.device)
        augment = Patches(pipeline, size, settings.mannequin.patches)

    start_trackers(accelerator, settings)
    batch = options.batch_size * options.accumulation * int(accelerator.num_processes)
    log = StepLog(options.output, images) if main else None
    with Interrupt() as interrupt, explain_lost_process():
        steps = take_steps(
            model,
            optimizer,
            trained,
            accelerator,
            samples,
            settings,
            pipeline.config.focal_conditions,
            images,
            augment,
            interrupt,
        )
        with closing(steps):
            for step in steps:
                if ema:
                    ema.step(trained)
                report(step)
                images = step.images
                accelerator.log(step.values(), step=images)
                if log:
                    log.write(step)
                stop = interrupt.check(accelerator)
                last = images + batch > options.images
                if post_hoc_ema:
                    post_hoc_ema.step(images, batch)
                    if images % options.snapshot_every < batch or last:
                        post_hoc_ema.save_snapshots(options.output, images, main=main)
                if images % options.checkpoint_every < batch or last or stop:
                    checkpoint.save(options.output, images, state, options.keep, main=main)
                if validation and (images % options.validate_every < batch or last):
                    with _use_averaged(ema, trained):
                        validation.run(accelerator, images, say)
                if stop:
                    break
        if interrupt.check(accelerator):  # also where one came while the last step was saved
            raise StoppedError(
                f"interrupted after {images:,} pictures, which are saved in {options.output}:"
                " go on with --resume"
            )

    if ema:
        ema.copy_to(trained)
    weights = gather_whole(network.state_dict(), keep=main)
    if main:
        save_trained(pipeline, weights, settings)
    for tracker in accelerator.trackers:  # the processes may train again, in a recipe
        tracker.finish()
    return options.output / "pipeline"


def take_steps(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    trained: list[torch.nn.Parameter],
    accelerator: Accelerator,
    samples: TrainingSamples,
    settings: Settings,
    focal_conditions: Sequence[str],
    images: int,
    augment: Augment | None = None,
    interrupt: Interrupt | None = None,
) -> Generator[TrainReport]:
    """The optimizer's steps, one report each: noise, prediction, loss, gradient, step.

    Args:
        model: the network, as accelerate has wrapped it.
        optimizer: of the parameters `trained`.
        samples: what is seen; `images` of them were seen before.
        settings: `train` and the noise schedule count.
        focal_conditions: which of source, texture and face the network gets.
        augment: changes some samples of each batch.
        interrupt: a signal to it ends the wait for a batch that does not come.

    Raises InputError, WeightsError or MCLDError when loss or gradient are not finite, before the
    step: for what is wrong with a sample, with the weights, or with the settings.
    """
    options, device = settings.train, accelerator.device
    schedule = ddim_scheduler(
        settings.scheduler.train_beta_schedule,
        settings.scheduler.beta_start,
        settings.scheduler.beta_end,
    )
    unet = accelerator.unwrap_model(model).denoising_unet
    size = options.height // SCALE_FACTOR, options.width // SCALE_FACTOR
    grids = unet.finer_grids(*size)
    alphas_cumprod = schedule.alphas_cumprod.to(device)
    forward = torch.compile(model) if options.compile else model
    model.train()
    first, rate = images, 0.0
    losses: list[torch.Tensor] = []
    batches: list[Batch] = []

    def check_finite(what: str, value: float) -> None:
        if not math.isfinite(value):
            told = f"{what} is {value} after {images:,} pictures"
            at_fault = rate if images > first else None
            raise explain_not_finite(told, batches, samples, model, at_fault)

    numbers = BatchSampler(
        images,
        options.images,
        options.batch_size,
        accelerator.process_index,
        accelerator.num_processes,
        options.accumulation,
    )
    with closing(load_batches(samples, options, numbers, device)) as loading:
        for loaded in loading if interrupt is None else interrupt.wait_for(loading):
            batch = loaded.to(device)
            if augment is not None:
                batch = batch.augment(augment, options.seed)
            with accelerator.accumulate(model):
                with accelerator.autocast():
                    # Noise: x_t = alpha_t x_0 + sigma_t e, and v = alpha_t e - sigma_t x_0
                    x_0, noise, t = batch["target"], batch["noise"], batch["timestep"]
                    x_t = schedule.add_noise(x_0, noise, t)
                    v = schedule.get_velocity(x_0, noise, t)
                    # Prediction: of v, without their conditions for the samples that dropped them
                    conditions = batch.conditions.keep(focal_conditions)
                    flows = ReferenceFlows(grids) if options.correspondence else None
                    prediction = forward(x_t, t, conditions, batch.dropped, flows)
                    # Loss: squared error, more on the face, less where there is little noise
                    mask = face_mask(batch["pose"][:, 0], x_t.shape[-2:]) * options.face_loss_weight
                    weights = min_snr_weights(alphas_cumprod, t, options.min_snr_gamma)
                    loss = mcld_loss(prediction, v, mask, weights).mean()
                    told = [loss]
                    if flows:
                        error = correspondence_error(flows, batch["pose"], batch["shown"]).mean()
                        told.append(error)
                        loss = loss + options.correspondence * error
                accelerator.backward(loss)
                losses.append(torch.stack(told).detach())
                batches.append(batch)
                if not accelerator.sync_gradients:
                    continue
                # Step: at this rate, along the clipped gradient
                means = accelerator.reduce(torch.stack(losses).mean(dim=0), "mean").tolist()
                losses.clear()
                rate = learning_rate(options, images)
                check_finite("the loss", sum(means))
                for group in optimizer.param_groups:
                    group["lr"] = rate
                clipped = accelerator.clip_grad_norm_(trained, options.max_grad_norm)
                norm = float(gather_whole(clipped))
                if accelerator.scaler is None:  # which would leave the step out
                    check_finite("the gradient's norm", norm)
                optimizer.step()
                optimizer.zero_grad()
                batches.clear()
            images += options.batch_size * options.accumulation * int(accelerator.num_processes)
            yield TrainReport("Training", images, options.images, means[0], norm, rate, *means[1:])


def learning_rate(options: TrainSettings, images: int) -> float:
    """The learning rate after `images` pictures: linear warm-up, then constant or a half cosine."""
    warmup = min(1.0, (images + 1) / options.lr_warmup_images) if options.lr_warmup_images else 1.0
    if options.lr_schedule == "constant":
        return options.learning_rate * warmup
    return options.learning_rate * warmup * (1 + math.cos(math.pi * images / options.images)) / 2


def _unpack_textures(
    cache: EncodedCache, stems: list[str], accelerator: Accelerator, report: Report
) -> TextureMaps:
    """The texture maps, of which training looks texels up."""
    maps = TextureMaps(cache.folder.parent / "texture_maps", cache.layout, cache.split)
    if accelerator.is_main_process:
        maps.unpack(stems, count_stage(report, "Unpacking texture maps"))
    accelerator.wait_for_everyone()
    return maps


@contextmanager
def _use_averaged(ema: EMAModel | None, trained: list[torch.nn.Parameter]) -> Iterator[None]:
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
