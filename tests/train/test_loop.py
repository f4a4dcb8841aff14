"""Training, on a real small dataset: from pictures to a pipeline, in one go or interrupted."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
import yaml
from accelerate.state import AcceleratorState
from mcld.train.steps import TrainReport, learning_rate
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image
from mcld.errors import InputError, MCLDError, SettingsError, StoppedError, WeightsError
from mcld.machine.lock import hold_folder
from mcld.model.checkpoints import FILE_STEMS, save_checkpoint
from mcld.networks.folders import load_pipeline, load_weights
from mcld.person import read_prepared
from mcld.settings import Settings, TrainSettings, load_settings
from mcld.train import checkpoint
from mcld.train.loop import train


def with_train(settings: Settings, **changes) -> Settings:
    return settings.model_copy(update={"train": settings.train.model_copy(update=changes)})


@pytest.fixture
def short(tiny: Settings) -> Settings:
    """Six steps of four, a checkpoint every other step."""
    return with_train(tiny, images=24, batch_size=4, checkpoint_every=8, keep=2, workers=0)


def quiet(_: TrainReport) -> None:
    pass


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_pipeline(folder).network.state_dict()


def test_training_reports_every_stage_and_leaves_a_pipeline_that_samples(short):
    reports: list[TrainReport] = []
    folder = train(short, resume=False, report=reports.append, say=print)
    stages = list(dict.fromkeys(r.stage for r in reports))
    assert stages == [
        "Training the autoencoder",
        "Training the image encoder",
        "Encoding pictures",
        "Training",
    ]
    last = reports[-1]
    assert (last.images, last.total) == (24, 24)
    assert last.loss > 0
    assert all(len({r.total for r in reports if r.stage == stage}) == 1 for stage in stages)
    assert load_pipeline(folder).picture_size(None, None) == (64, 48)


@pytest.mark.parametrize(
    ("suffix", "pose_input"), [(".pth", "iuv"), (".safetensors", "iuv"), (".pth", "textured")]
)
def test_the_four_files_sample_as_the_pipeline_does(short, suffix, pose_input):
    model = short.model.model_copy(update={"pose_input": pose_input})
    settings = with_train(short, images=8).model_copy(update={"model": model})
    folder = train(settings, resume=False, report=quiet, say=print)
    four = folder.parent / "weights"
    assert sorted(p.name for p in four.glob("*.pth")) == sorted(
        f"{part}.pth" for part in FILE_STEMS
    )
    if suffix == ".safetensors":
        save_checkpoint(load_pipeline(folder).network.state_dict(), four)
        for path in four.glob("*.pth"):
            path.unlink()
    loaded, expected = load_weights(four, short), load_pipeline(folder)
    for key, tensor in expected.network.state_dict().items():
        assert torch.equal(tensor, loaded.network.state_dict()[key]), key
    assert loaded.config.num_inference_steps == expected.config.num_inference_steps


@pytest.mark.parametrize(
    "changes",
    [{"optimizer": "adamw8bit"}, {"gradient_checkpointing": True}, {"patchwork": 0.5}],
    ids=str,
)
def test_with_these_settings_it_resumes_to_the_bit_as_well(short, tmp_path, changes):
    frugal = with_train(short, **changes)
    whole = weights(train(frugal, resume=False, report=quiet, say=print))
    again = with_train(frugal, output=tmp_path / "again", images=16)
    train(again, resume=False, report=quiet, say=print)
    resumed = weights(train(with_train(again, images=24), resume=True, report=quiet, say=print))
    for key, tensor in whole.items():
        assert torch.equal(tensor, resumed[key]), key


def test_out_of_gpu_memory_says_what_to_turn(short):
    def full(_: TrainReport) -> None:  # there may be no GPU to fill
        raise torch.OutOfMemoryError

    message = r"train\.batch_size=4 at 64x48: set train\.gradient_checkpointing=true, lower"
    with pytest.raises(MCLDError, match=message):
        train(short, resume=False, report=full, say=print)


def test_patches_are_refused_where_referencenet_does_not_see_the_texture(short):
    model = short.model.model_copy(update={"reference_input": "source"})
    settings = with_train(short, patchwork=0.5).model_copy(update={"model": model})
    with pytest.raises(SettingsError, match="ReferenceNet sees the source"):
        train(settings, resume=False, report=quiet, say=print)


def test_the_newest_checkpoints_are_kept_and_nothing_half_written(short):
    train(short, resume=False, report=quiet, say=print)
    folder = short.train.output / "checkpoints"
    assert sorted(p.name for p in folder.iterdir()) == ["000000016", "000000024"]


def test_resuming_with_other_settings_says_which_and_refuses_another_network(short):
    train(short, resume=False, report=quiet, say=print)
    said: list[str] = []
    train(with_train(short, images=32, seed=7), resume=True, report=quiet, say=said.append)
    assert said[0].endswith("was begun with: train.images 24 -> 32, train.seed 0 -> 7")
    for change in ({"optimizer": "adamw8bit"}, {"frozen": ("pose_guider.",)}):
        with pytest.raises(SettingsError, match=r"train\.(optimizer|frozen) cannot change"):
            train(with_train(short, **change), resume=True, report=quiet, say=print)
    wider = short.model.model_copy(update={"latent_channels": 9})
    with pytest.raises(SettingsError, match=r"mannequin.latent_channels cannot change .* 12 -> 9"):
        train(short.model_copy(update={"model": wider}), resume=True, report=quiet, say=print)


def test_interrupted_and_resumed_it_ends_with_the_same_weights_to_the_bit(short, tmp_path):
    whole = weights(train(short, resume=False, report=quiet, say=print))

    def stop_at_twenty(report: TrainReport) -> None:
        if report.stage == "Training" and report.images == 20:
            raise KeyboardInterrupt

    again = with_train(short, output=tmp_path / "again")
    with pytest.raises(KeyboardInterrupt):
        train(again, resume=False, report=stop_at_twenty, say=print)
    resumed = weights(train(again, resume=True, report=quiet, say=print))
    for key, tensor in whole.items():
        assert torch.equal(tensor, resumed[key]), key


def test_further_training_keeps_the_encoders_and_begins_at_the_trained_network(short, tmp_path):
    first = train(short, resume=False, report=quiet, say=print)
    stages: list[str] = []
    further = with_train(short, start_from=first, output=tmp_path / "more", learning_rate=1e-9)
    second = train(further, resume=False, report=lambda now: stages.append(now.stage), say=print)
    assert set(stages) == {"Training"}  # what the same encoders made of the pictures is there
    for part in ("vae", "image_encoder"):
        encoder = load_pipeline(first).components[part].state_dict()
        for key, tensor in load_pipeline(second).components[part].state_dict().items():
            assert torch.equal(tensor, encoder[key]), key
    before, after = weights(first), weights(second)
    assert max((before[key] - after[key]).abs().max() for key in before) < 1e-6
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_how_to_sample_counts_in_further_training_where_it_is_set_and_else_stays(short, tmp_path):
    first = train(short, resume=False, report=quiet, say=print)
    sample = short.sample.model_copy(update={"num_inference_steps": 3, "guidance_scale": 2.0})
    changed = short.model_copy(update={"sample": sample})
    second = with_train(changed, start_from=first, output=tmp_path / "more", images=8)
    second = train(second, resume=False, report=quiet, say=print)
    third = with_train(short, start_from=second, output=tmp_path / "again", images=8)
    third = train(third, resume=False, report=quiet, say=print)
    for folder in (second, third):
        config = load_pipeline(folder).config
        assert (config.num_inference_steps, config.guidance_scale) == (3, 2.0)
    assert load_pipeline(first).config.num_inference_steps != 3


def test_training_changes_what_it_should_and_freezes_what_it_is_told(short):
    frozen = with_train(short, frozen=("reference_unet.", "pose_guider.conv_in."))
    before = None

    def remember(report: TrainReport) -> None:
        nonlocal before
        if report.stage == "Encoding pictures" and before is None:
            before = weights(frozen.train.output / "start")

    after = weights(train(frozen, resume=False, report=remember, say=print))
    changed = {key for key, tensor in before.items() if not torch.equal(tensor, after[key])}
    assert any(key.startswith("denoising_unet.") for key in changed)
    assert any(key.startswith("image_projector.") for key in changed)
    assert "pose_guider.conv_out.weight" in changed
    assert not any(key.startswith(("reference_unet.", "pose_guider.conv_in.")) for key in changed)


@pytest.mark.parametrize(
    ("frozen", "message"),
    [
        (("denoising_unet.", "reference_unet.up_blocks.3."), "no weight's name begins with 'ref"),
        (("",), "nothing is left to train"),
    ],
)
def test_freezing_what_is_not_there_or_everything_is_refused(short, frozen, message):
    with pytest.raises(SettingsError, match=message):
        train(with_train(short, frozen=frozen), resume=False, report=quiet, say=print)


def test_a_few_hundred_steps_learn(short):
    losses: list[float] = []

    def note(report: TrainReport) -> None:
        if report.stage == "Training":
            losses.append(report.loss)

    longer = with_train(short, images=800, batch_size=8, learning_rate=2e-3, checkpoint_every=9999)
    train(longer, resume=False, report=note, say=print)
    assert sum(losses[-30:]) < 0.8 * sum(losses[:30])


def test_a_folder_with_checkpoints_is_not_trained_over(short):
    train(short, resume=False, report=quiet, say=print)
    with pytest.raises(SettingsError, match="add --resume to go on from 000000024"):
        train(short, resume=False, report=quiet, say=print)


def test_a_short_finished_run_is_not_trained_over_either(short):
    brief = with_train(short, images=8, checkpoint_every=1000)
    train(brief, resume=False, report=quiet, say=print)
    with pytest.raises(SettingsError, match="add --resume to go on from 000000008"):
        train(brief, resume=False, report=quiet, say=print)


def test_resuming_what_was_never_begun_is_refused(short):
    with pytest.raises(SettingsError, match="holds no checkpoint: leave --resume out"):
        train(short, resume=True, report=quiet, say=print)


def test_a_loss_that_is_not_finite_stops_before_a_checkpoint(short):
    wild = with_train(short, learning_rate=1.0, max_grad_norm=1e30, images=400, noise_offset=1e30)
    with pytest.raises(MCLDError, match=r"after \d+ pictures .* lower train\.learning_rate"):
        train(wild, resume=False, report=quiet, say=print)
    assert not checkpoint.checkpoints(wild.train.output)


def test_less_than_one_batch_is_refused(short):
    with pytest.raises(SettingsError, match=r"train\.images, 3, is less than one batch, 4"):
        train(with_train(short, images=3), resume=False, report=quiet, say=print)


def test_a_dataset_that_is_not_there_is_said_to_be_missing(short, tmp_path):
    with pytest.raises(InputError, match="mcld prepare"):
        train(with_train(short, dataset=tmp_path), resume=False, report=quiet, say=print)


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(short):
    whole = weights(train(short, resume=False, report=quiet, say=print))
    folder = short.train.output / "checkpoints"
    state = folder / "000000024" / checkpoint.STATE_FILE
    state.write_bytes(state.read_bytes()[:1000])
    said: list[str] = []
    again = weights(train(short, resume=True, report=quiet, say=said.append))
    assert "training_state.pt is damaged" in said[0]
    assert "going on from 000000016" in said[0]
    assert all(torch.equal(whole[key], again[key]) for key in whole)
    for state in folder.glob(f"*/{checkpoint.STATE_FILE}"):
        state.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"training_state\.pt is damaged"):
        train(short, resume=True, report=quiet, say=print)


def test_a_checkpoint_just_written_is_never_pruned_for_a_damaged_newer_one(short):
    train(short, resume=False, report=quiet, say=print)
    folder = short.train.output / "checkpoints"
    (folder / "000000024" / checkpoint.STATE_FILE).write_bytes(b"")
    seen: list[list[str]] = []

    def look(now: TrainReport) -> None:
        seen.append(sorted(path.name for path in folder.iterdir()))

    one = with_train(short, keep=1, checkpoint_every=4, images=28)
    train(one, resume=True, report=look, say=print)
    assert ["000000020"] in seen
    assert sorted(path.name for path in folder.iterdir()) == ["000000028"]


def test_a_finished_run_goes_on_as_one_that_never_ended(short, tmp_path):
    rounded = with_train(short, save_dtype="float16", adapt_decoder_images=32)
    train(with_train(rounded, images=16), resume=False, report=quiet, say=print)
    stages: list[str] = []
    longer = with_train(rounded, images=32)
    further = weights(
        train(longer, resume=True, report=lambda now: stages.append(now.stage), say=print)
    )
    assert "Encoding pictures" not in stages
    whole = with_train(longer, output=tmp_path / "whole")
    at_once = weights(train(whole, resume=False, report=quiet, say=print))
    assert all(torch.equal(further[key], at_once[key]) for key in further)


def test_two_runs_into_one_folder_do_not_mix(short):
    short.train.output.mkdir(parents=True)
    with hold_folder(short.train.output), pytest.raises(InputError, match="by another run"):
        train(short, resume=False, report=quiet, say=print)


def test_bfloat16_trains_as_well(short):
    losses: list[float] = []

    def note(now: TrainReport) -> None:
        if now.stage == "Training":
            losses.append(now.loss)

    AcceleratorState._reset_state(reset_partial_state=True)  # one process, one precision
    try:
        train(with_train(short, precision="bf16"), resume=False, report=note, say=print)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    assert len(losses) == 6


def test_a_network_is_not_asked_to_be_what_it_was_not_trained_to_be(short, tmp_path):
    first = train(short, resume=False, report=quiet, say=print)
    model = short.model.model_copy(update={"reference_input": "source"})
    other = with_train(
        short.model_copy(update={"model": model}), start_from=first, output=tmp_path / "more"
    )
    with pytest.raises(SettingsError, match="was trained with texture"):
        train(other, resume=False, report=quiet, say=print)


def test_a_trained_network_is_trained_further_with_textured_maps_and_keeps_them(short, tmp_path):
    first = train(short, resume=False, report=quiet, say=print)
    model = short.model.model_copy(update={"pose_input": "textured"})
    further = with_train(
        short.model_copy(update={"model": model}), start_from=first, output=tmp_path / "more"
    )
    second = train(further, resume=False, report=quiet, say=print)
    guider = load_pipeline(second).pose_guider
    assert guider.config.textured
    assert guider.patch_embedding.weight.any()  # from zeros
    assert load_pipeline(second).config.pose_resample == "nearest"
    third = with_train(short, start_from=second, output=tmp_path / "again")
    assert load_pipeline(
        train(third, resume=False, report=quiet, say=print)
    ).pose_guider.config.textured
    plain = load_settings(None, ["mannequin.pose_input=iuv"]).model
    back = with_train(
        short.model_copy(update={"model": plain}), start_from=second, output=tmp_path / "back"
    )
    with pytest.raises(SettingsError, match=r"model\.pose_input: .* was trained with textured"):
        train(back, resume=False, report=quiet, say=print)


def test_the_loss_on_the_face_counts_as_it_is_told(short, tmp_path):
    losses = {}
    for weight in (0.0, 1.0, 3.0):
        reports: list[TrainReport] = []
        options = {"face_loss_weight": weight, "images": 4, "output": tmp_path / str(weight)}
        train(with_train(short, **options), resume=False, report=reports.append, say=print)
        losses[weight] = next(r.loss for r in reversed(reports) if r.stage == "Training")
    of_faces = losses[1.0] - losses[0.0]
    assert of_faces > 0
    assert losses[3.0] - losses[0.0] == pytest.approx(3 * of_faces, rel=1e-3)


def test_a_damaged_cache_is_one_line_from_a_loading_process(short):
    def damage(now: TrainReport) -> None:
        if now.stage == "Encoding pictures" and now.images == now.total:
            for path in short.train.cache.rglob("*.safetensors"):
                path.write_bytes(path.read_bytes()[:-40])

    run = with_train(short, workers=1)
    with pytest.raises(InputError, match=r"^cannot read [^\n]*; delete it and run again$"):
        train(run, resume=False, report=damage, say=print)


def test_pictures_that_are_not_prepared_are_left_out_with_a_line(short, dataset, tmp_path):
    copy = DatasetLayout(Path(shutil.copytree(dataset.root, tmp_path / "copy")))
    copy.texture("train", copy.names("train")[0].removesuffix(".jpg")).unlink()
    said: list[str] = []
    train(with_train(short, dataset=copy.root), resume=False, report=quiet, say=said.append)
    assert said[0] == (
        "1 of 6 listed pictures are not prepared, and are left out with 4 of 12 pairs"
    )
    for name in copy.names("train"):
        copy.image("train", name.removesuffix(".jpg")).unlink()
    elsewhere = with_train(short, dataset=copy.root, output=tmp_path / "elsewhere")
    with pytest.raises(InputError, match="no pair of prepared pictures"):
        train(elsewhere, resume=False, report=quiet, say=print)


def test_a_signal_saves_the_step_and_stops_with_a_line(short, tmp_path):
    whole = weights(train(short, resume=False, report=quiet, say=print))
    for number, signum in enumerate((signal.SIGTERM, signal.SIGINT)):
        again = with_train(short, output=tmp_path / f"again{number}")

        def interrupt(now: TrainReport, signum=signum) -> None:
            if now.stage == "Training" and now.images == 12:
                os.kill(os.getpid(), signum)

        with pytest.raises(StoppedError, match=r"after 12 pictures.*--resume"):
            train(again, resume=False, report=interrupt, say=print)
        assert checkpoint.checkpoints(again.train.output)[-1].name == "000000012"
        resumed = weights(train(again, resume=True, report=quiet, say=print))
        assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_accumulated_batches_train_like_whole_ones(short, tmp_path):
    losses: dict[int, list[float]] = {1: [], 2: []}
    for accumulation, found in losses.items():
        run = with_train(
            short,
            images=40,
            batch_size=4 // accumulation,
            accumulation=accumulation,
            output=tmp_path / f"by{accumulation}",
        )

        def note(now: TrainReport, found=found) -> None:
            if now.stage == "Training":
                found.append(now.loss)

        train(run, resume=False, report=note, say=print)
    assert len(losses[1]) == 10
    assert losses[1] == pytest.approx(losses[2], abs=1e-5)
    assert len(set(losses[1])) == 10


def test_steps_and_validation_are_logged_and_drawn(short):
    said: list[str] = []
    run = with_train(short, validate_every=12, validation_pairs=2)
    train(run, resume=False, report=quiet, say=said.append)
    scores = [line for line in said if "PSNR" in line]
    assert [line.split()[1] for line in scores] == ["12", "24"]
    sheets = sorted((run.train.output / "validation").iterdir())
    assert [sheet.name for sheet in sheets] == ["000000012.png", "000000024.png"]
    assert read_image(sheets[0]).shape == (24 + 2 * 264, 5 * round(264 * 88 / 128), 3)
    events = EventAccumulator(str(run.train.output / "logs" / "mcld")).Reload()
    for name in ("loss", "gradient_norm", "learning_rate"):
        assert [event.step for event in events.Scalars(name)] == [4, 8, 12, 16, 20, 24]
    assert [event.step for event in events.Images("validation")] == [12, 24]


def test_without_test_pairs_there_are_no_sheets_and_training_goes_on(short, dataset, tmp_path):
    copy = DatasetLayout(Path(shutil.copytree(dataset.root, tmp_path / "copy")))
    copy.pairs_file("test").unlink()
    said: list[str] = []
    train(with_train(short, dataset=copy.root), resume=False, report=quiet, say=said.append)
    assert "no validation sheets" in " ".join(said)


def test_validation_changes_nothing_in_training(short, tmp_path):
    plain = with_train(short, validate_every=0, output=tmp_path / "plain")
    watched = with_train(short, validate_every=4, output=tmp_path / "watched")
    a, b = (weights(train(s, resume=False, report=quiet, say=print)) for s in (plain, watched))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_the_record_beside_the_weights_tells_how_they_came_about(short):
    folder = train(short, resume=False, report=quiet, say=print)
    record = yaml.safe_load((folder / "training.yaml").read_text())
    assert record["settings"]["train"]["images"] == 24
    assert record["versions"]["torch"] == torch.__version__.partition("+")[0]
    in_checkout = (Path(__file__).parents[2] / ".git").exists()
    assert bool(record["commit"]) == in_checkout


def test_a_tracker_that_is_not_installed_is_named(short):
    with pytest.raises(SettingsError, match="wandb is not installed"):
        train(with_train(short, trackers=("wandb",)), resume=False, report=quiet, say=print)


def test_a_network_trained_without_a_condition_samples_without_it(short):
    model = short.model.model_copy(
        update={"focal_conditions": ("texture",), "reference_input": "source"}
    )
    folder = train(short.model_copy(update={"model": model}), resume=False, report=quiet, say=print)
    pipeline = load_pipeline(folder)
    first = dataset_picture(short, 0)
    second = dataset_picture(short, 4)
    inputs = pipeline.inputs([first.image], [first.texture], [first.pose], first.face[None], 64, 48)
    with torch.no_grad():
        conditions = pipeline.conditions(inputs)
    assert not conditions.source.any()
    assert not conditions.face.any()
    assert conditions.texture.any()
    of_source = pipeline.latents_of([first.image], 64, 48)
    assert torch.equal(conditions.reference_latents, of_source)

    def made(source, face):
        return pipeline(
            source, first.texture, first.pose, face, latents=noise, output_type="latent"
        ).images

    noise = torch.randn(1, 12, 8, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made(first.image, first.face[None]), made(first.image, second.face[None]))
    assert not torch.equal(
        made(first.image, first.face[None]), made(second.image, first.face[None])
    )


def dataset_picture(settings: Settings, number: int):
    layout = DatasetLayout(settings.train.dataset)
    return read_prepared(layout, "train", layout.names("train")[number].removesuffix(".jpg"))


def test_the_decoder_learns_from_what_the_network_samples(short, tmp_path):
    plain = load_pipeline(train(short, resume=False, report=quiet, say=print)).vae.state_dict()
    run = with_train(short, adapt_decoder_images=64, output=tmp_path / "adapted")
    reports: list[TrainReport] = []
    folder = train(run, resume=False, report=reports.append, say=print)
    adapted = load_pipeline(folder).vae.state_dict()
    changed = {name for name in plain if not torch.equal(plain[name], adapted[name])}
    assert changed == {name for name in plain if name.startswith("refinement.")}
    assert (reports[-1].stage, reports[-1].images) == ("Adapting the decoder", 12 + 64)
    assert reports[-1].total == 12 + 64


def test_the_learning_rate_warms_up_then_stays_or_falls_along_a_cosine():
    options = TrainSettings(learning_rate=1e-3, lr_warmup_images=100, images=1000)
    assert learning_rate(options, 0) == pytest.approx(1e-5)
    assert learning_rate(options, 99) == learning_rate(options, 999) == pytest.approx(1e-3)
    cosine = options.model_copy(update={"lr_schedule": "cosine"})
    assert learning_rate(cosine, 500) == pytest.approx(5e-4)
    assert learning_rate(cosine, 1000) == pytest.approx(0)
