"""Training, on a real small dataset: from pictures to a pipeline, in one go or interrupted."""

import csv
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image
from mcld.dataset.views import split_views
from mcld.errors import InputError, MCLDError, SettingsError, StoppedError, WeightsError
from mcld.machine.lock import hold_folder
from mcld.machine.processes import runs_on_cpu
from mcld.mannequin.pose_guider import TexturedPoseGuider
from mcld.networks.checkpoints import load_checkpoint, save_checkpoint
from mcld.networks.folders import load_pipeline, load_weights
from mcld.networks.names import FILE_STEMS
from mcld.person.prepared import read_prepared
from mcld.settings import Settings, TrainSettings, load_settings
from mcld.train import checkpoint
from mcld.train.cache import EncodedCache
from mcld.train.finish import save_pipeline
from mcld.train.loop import learning_rate, train
from mcld.train.report import TrainReport
from mcld.train.start import new_pipeline
from mcld.train.trackers import check_resumed
from mcld.train.validation import Validation
from tests.conftest import FinishedRun
from tests.train.runs import assert_equal, run, steps_of, weights, with_settings, with_train


def untrained(settings: Settings, folder: Path) -> Settings:
    """The same, but from a network of its own whose encoders nobody has fitted."""
    save_pipeline(new_pipeline(settings), folder, settings)
    return with_train(settings, start_from=folder)


def test_training_reports_every_stage_and_leaves_a_pipeline_that_samples(finished: FinishedRun):
    reports = finished.reports
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
    assert load_pipeline(finished.pipeline).picture_size(None, None) == (64, 48)


@pytest.mark.parametrize(
    ("suffix", "pose_input"), [(".pth", "iuv"), (".safetensors", "iuv"), (".pth", "textured")]
)
def test_the_four_files_sample_as_the_pipeline_does(finished, short, tmp_path, suffix, pose_input):
    if pose_input == "textured":
        textured = with_settings(short, "mannequin", pose_input="textured")
        folder = run(with_train(textured, images=4))
    else:
        folder = finished.copy(tmp_path / "copy").train.output / "pipeline"
    four = folder.parent / "weights"
    assert sorted(p.name for p in four.glob("*.pth")) == sorted(
        f"{part}.pth" for part in FILE_STEMS
    )
    if suffix == ".safetensors":
        save_checkpoint(weights(folder), four)
        for path in four.glob("*.pth"):
            path.unlink()
    loaded, expected = load_weights(four, short), load_pipeline(folder)
    assert_equal(expected.network.state_dict(), loaded.network.state_dict())
    assert loaded.config.num_inference_steps == expected.config.num_inference_steps


@pytest.mark.parametrize(
    ("group", "changes"),
    [
        ("train", {"optimizer": "adamw8bit"}),
        ("train", {"gradient_checkpointing": True}),
        ("mannequin", {"patches": 0.5}),
    ],
    ids=str,
)
def test_with_these_settings_it_resumes_to_the_bit_as_well(short, group, changes):
    frugal = with_train(with_settings(short, group, **changes), images=12, checkpoint_every=4)
    whole = weights(run(frugal))
    before, last = checkpoint.checkpoints(frugal.train.output)
    assert (before.name, last.name) == ("000000008", "000000012")
    shutil.rmtree(last)
    assert_equal(whole, weights(run(frugal, resume=True)))


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError(), RuntimeError("MPS backend out of memory (MPS allocated: 9 GiB)")],
    ids=str,
)
def test_out_of_gpu_memory_says_what_to_turn(short, error):
    def full(_: TrainReport) -> None:  # there may be no GPU to fill
        raise error

    message = r"train\.batch_size=4 at 64x48: set train\.gradient_checkpointing=true, lower"
    with pytest.raises(MCLDError, match=message):
        train(short, resume=False, report=full, say=print)


def test_patches_are_refused_where_referencenet_does_not_see_the_texture(short, tmp_path):
    settings = with_settings(short, "model", reference_input="source")
    settings = with_settings(settings, "mannequin", patches=0.5)
    with pytest.raises(SettingsError, match="ReferenceNet sees the source"):
        run(untrained(settings, tmp_path / "new"))


def test_the_newest_checkpoints_are_kept_and_nothing_half_written(finished):
    folder = finished.output / "checkpoints"
    assert sorted(p.name for p in folder.iterdir()) == ["000000016", "000000024"]


def test_no_checkpoint_is_removed_while_there_are_fewer_than_are_kept(short):
    settings = with_train(short, checkpoint_every=4, keep=6)
    run(settings)
    assert len(checkpoint.checkpoints(settings.train.output)) == 6


def test_resuming_with_other_settings_says_which_and_refuses_another_network(finished, tmp_path):
    copy = finished.copy(tmp_path / "copy")
    said: list[str] = []
    other = with_train(copy, images=28, seed=7)
    train(other, resume=True, report=lambda _: None, say=said.append)
    assert said[0].endswith("was begun with: train.images 24 -> 28, train.seed 0 -> 7")
    for change in ({"optimizer": "adamw8bit"}, {"frozen": ("pose_guider.",)}):
        with pytest.raises(SettingsError, match=r"train\.(optimizer|frozen) cannot change"):
            run(with_train(copy, **change), resume=True)
    for group, name, value, change in (
        ("mannequin", "latent_channels", 9, "12 -> 9"),
        ("mannequin", "pose_input", "textured", "iuv -> textured"),
        ("model", "projector_dim", 8, "16 -> 8"),
    ):
        with pytest.raises(SettingsError, match=rf"{group}\.{name} cannot change .* {change}"):
            run(with_settings(copy, group, **{name: value}), resume=True)


def test_a_run_begun_before_a_setting_was_made_has_its_default(finished, tmp_path):
    copy = finished.copy(tmp_path / "copy")
    file = copy.train.output / "start" / "training.yaml"
    record = yaml.safe_load(file.read_text())
    del record["settings"]["train"]["post_hoc_ema"]
    file.write_text(yaml.safe_dump(record))
    assert check_resumed(file.parent, copy) is None
    changed = with_train(copy, post_hoc_ema=(0.05, 0.1), snapshot_every=1)
    with pytest.raises(SettingsError, match=r"post_hoc_ema cannot change .* \[\] -> \[0.05, 0.1\]"):
        run(changed, resume=True)


def test_interrupted_and_resumed_it_ends_with_the_same_weights_to_the_bit(finished, short):
    def stop_at_twenty(report: TrainReport) -> None:
        if report.stage == "Training" and report.images == 20:
            raise KeyboardInterrupt

    told = r"^interrupted after 16 pictures that are saved in .*: go on with --resume$"
    with pytest.raises(StoppedError, match=told):
        train(short, resume=False, report=stop_at_twenty, say=print)
    assert [p.name for p in checkpoint.checkpoints(short.train.output)][-1] == "000000016"
    assert_equal(weights(finished.pipeline), weights(run(short, resume=True)))


def test_further_training_keeps_the_encoders_and_begins_at_the_trained_network(finished, short):
    first = finished.pipeline
    stages: list[str] = []
    further = with_train(short, start_from=first, learning_rate=1e-9, images=8)
    second = train(further, resume=False, report=lambda now: stages.append(now.stage), say=print)
    assert set(stages) == {"Training"}  # what the same encoders made of the pictures is there
    for part in ("vae", "image_encoder"):
        encoder = load_pipeline(first).components[part].state_dict()
        assert_equal(encoder, load_pipeline(second).components[part].state_dict())
    before, after = weights(first), weights(second)
    assert max((before[key] - after[key]).abs().max() for key in before) < 1e-6
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_how_to_sample_counts_in_further_training_where_it_is_set_and_else_stays(
    finished, short, tmp_path
):
    first = finished.pipeline
    changed = with_settings(short, "sample", num_inference_steps=3, guidance_scale=2.0)
    second = run(with_train(changed, start_from=first, images=4))
    third = run(with_train(short, start_from=second, output=tmp_path / "again", images=4))
    for folder in (second, third):
        config = load_pipeline(folder).config
        assert (config.num_inference_steps, config.guidance_scale) == (3, 2.0)
    assert load_pipeline(first).config.num_inference_steps != 3


def test_training_changes_what_it_should_and_freezes_what_it_is_told(short):
    frozen = with_train(short, frozen=("reference_unet.", "pose_guider.conv_in."), images=8)
    after = weights(run(frozen))
    before = weights(frozen.train.output / "start")
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
        run(with_train(short, frozen=frozen))


def test_fifty_steps_learn(short):
    longer = with_train(short, images=400, batch_size=8, learning_rate=2e-3, checkpoint_every=9999)
    losses = [step.loss for step in steps_of(longer)]
    assert sum(losses[-15:]) < 0.8 * sum(losses[:15])


def test_a_folder_with_checkpoints_is_not_trained_over(finished):
    with pytest.raises(SettingsError, match="add --resume to go on from 000000024"):
        run(finished.settings)


def test_a_short_finished_run_is_not_trained_over_either(short):
    brief = with_train(short, images=8, checkpoint_every=1000)
    run(brief)
    with pytest.raises(SettingsError, match="add --resume to go on from 000000008"):
        run(brief)


def test_resuming_what_was_never_begun_is_refused(short):
    with pytest.raises(SettingsError, match="holds no checkpoint: leave --resume out"):
        run(short, resume=True)


def test_a_loss_that_is_not_finite_stops_before_a_checkpoint(short):
    wild = with_train(short, learning_rate=1e30, images=400)
    with pytest.raises(MCLDError, match=r"after \d+ pictures .* lower train\.learning_rate"):
        run(wild)
    assert not checkpoint.checkpoints(wild.train.output)


def test_less_than_one_batch_is_refused(short):
    with pytest.raises(SettingsError, match=r"train\.images, 3, is less than one batch, 4"):
        run(with_train(short, images=3))


def test_a_dataset_that_is_not_there_is_said_to_be_missing(short, tmp_path):
    with pytest.raises(InputError, match="mcld prepare"):
        run(with_train(short, dataset=tmp_path))


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(finished, tmp_path):
    copy = finished.copy(tmp_path / "copy")
    folder = copy.train.output / "checkpoints"
    state = folder / "000000024" / checkpoint.STATE_FILE
    state.write_bytes(state.read_bytes()[:1000])
    said: list[str] = []
    again = train(copy, resume=True, report=lambda _: None, say=said.append)
    assert "training_state.pt is damaged or of another network" in said[0]
    assert "weights_only" not in said[0]
    assert "going on from 000000016" in said[0]
    assert_equal(weights(finished.pipeline), weights(again))
    for state in folder.glob(f"*/{checkpoint.STATE_FILE}"):
        state.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"training_state\.pt is empty"):
        run(copy, resume=True)


def test_a_checkpoint_just_written_is_never_pruned_for_a_damaged_newer_one(finished, tmp_path):
    copy = finished.copy(tmp_path / "copy")
    folder = copy.train.output / "checkpoints"
    (folder / "000000024" / checkpoint.STATE_FILE).write_bytes(b"")
    seen: list[list[str]] = []

    def look(_: TrainReport) -> None:
        seen.append(sorted(path.name for path in folder.iterdir()))

    one = with_train(copy, keep=1, checkpoint_every=4, images=28)
    train(one, resume=True, report=look, say=print)
    assert ["000000020"] in seen
    assert sorted(path.name for path in folder.iterdir()) == ["000000028"]


def test_a_finished_run_goes_on_as_one_that_never_ended(finished, short, tmp_path):
    stages: list[str] = []
    longer = with_train(finished.copy(tmp_path / "copy"), save_dtype="float16", images=32)
    further = train(longer, resume=True, report=lambda now: stages.append(now.stage), say=print)
    assert "Encoding pictures" not in stages
    at_once = run(with_train(short, save_dtype="float16", images=32))
    assert_equal(weights(further), weights(at_once))


def test_the_finished_weights_are_saved_in_the_precision_asked_for(finished, short):
    half = run(with_train(short, save_dtype="float16"))
    for folder, dtype in ((finished.pipeline, torch.float32), (half, torch.float16)):
        for part in ("denoising_unet", "pose_guider", "vae"):
            saved = load_file(folder / part / "diffusion_pytorch_model.safetensors")
            assert {tensor.dtype for tensor in saved.values()} == {dtype}
        saved = torch.load(folder.parent / "weights" / "denoising_unet.pth")
        assert {tensor.dtype for tensor in saved.values()} == {dtype}
    rounded = weights(half)
    for key, tensor in weights(finished.pipeline).items():
        assert torch.equal(tensor.half().float(), rounded[key])
    # The checkpoints, from which training goes on, are not rounded.
    file = "checkpoints/000000024/denoising_unet.safetensors"
    assert_equal(load_file(half.parent / file), load_file(finished.output / file))


def test_two_runs_into_one_folder_do_not_mix(short):
    short.train.output.mkdir(parents=True)
    with hold_folder(short.train.output), pytest.raises(InputError, match="by another run"):
        run(short)


def test_bfloat16_computes_in_bfloat16_and_loses_as_float32_does(short, tmp_path):
    losses, dtypes = {}, {}
    for precision in ("no", "bf16"):
        computed: set[torch.dtype] = set()

        def look(module: nn.Module, _: object, output: torch.Tensor, computed=computed) -> None:
            if type(module) in (nn.Linear, nn.Conv2d):
                computed.add(output.dtype)

        AcceleratorState._reset_state(reset_partial_state=True)  # one process, one precision
        watch = nn.modules.module.register_module_forward_hook(look)
        try:
            options = {"precision": precision, "output": tmp_path / precision}
            losses[precision] = [step.loss for step in steps_of(with_train(short, **options))]
        finally:
            watch.remove()
            AcceleratorState._reset_state(reset_partial_state=True)
        dtypes[precision] = computed
    assert dtypes == {"no": {torch.float32}, "bf16": {torch.bfloat16}}
    assert len(losses["bf16"]) == 6
    assert losses["bf16"] == pytest.approx(losses["no"], rel=0.02)
    assert losses["bf16"] != losses["no"]


def test_a_network_is_not_asked_to_be_what_it_was_not_trained_to_be(finished, short):
    for name, value, found in (
        ("reference_input", "source", "texture"),
        ("focal_conditions", ("face",), r"\['source', 'texture', 'face'\]"),
    ):
        other = with_settings(short, "model", **{name: value})
        with pytest.raises(SettingsError, match=f"model.{name}: .* was trained with {found}"):
            run(with_train(other, start_from=finished.pipeline))


def test_a_trained_network_is_trained_further_with_textured_maps_and_keeps_them(
    finished, short, tmp_path
):
    further = with_settings(short, "mannequin", pose_input="textured")
    second = run(with_train(further, start_from=finished.pipeline, images=8))
    guider = load_pipeline(second).pose_guider
    assert isinstance(guider, TexturedPoseGuider)
    assert guider.patch_embedding.weight.any()  # from zeros
    assert load_pipeline(second).config.pose_resample == "nearest"
    third = with_train(short, start_from=second, output=tmp_path / "again", images=4)
    assert isinstance(load_pipeline(run(third)).pose_guider, TexturedPoseGuider)
    plain = load_settings(None, ["mannequin.pose_input=iuv"]).mannequin
    back = with_train(
        short.model_copy(update={"mannequin": plain}), start_from=second, output=tmp_path / "back"
    )
    with pytest.raises(SettingsError, match=r"mannequin\.pose_input: .* trained with textured"):
        run(back)


@pytest.mark.parametrize("pose_input", ["iuv", "textured"])
def test_sources_of_several_views_are_trained_on(short, tmp_path, pose_input):
    further = with_settings(short, "mannequin", pose_input=pose_input)
    several = with_train(further, views=3, cache=tmp_path / "cache", images=8)
    run(several)
    encoded = {
        str(file.relative_to(tmp_path / "cache")).split("/", 2)[2].removesuffix(".safetensors")
        for file in (tmp_path / "cache").rglob("*.safetensors")
    }
    joined = [stem for stem in encoded if "/" in stem]
    assert joined
    layout = DatasetLayout(several.train.dataset)
    for stem in joined:
        assert set(split_views(stem)) < {
            name.removesuffix(".jpg") for name in layout.names("train")
        }
    (folder,) = {file.parent for file in (tmp_path / "cache").glob("*/*/*.safetensors")}
    cache = EncodedCache(folder, layout, "train")
    one, two = (
        cache.read(stem, "texture_latents")[0] for stem in (joined[0].split("/")[0], joined[0])
    )
    assert not torch.equal(one, two)


def test_a_damaged_cache_is_one_line_from_a_loading_process(short, tmp_path):
    own = with_train(short, cache=tmp_path / "cache", workers=1)

    def damage(now: TrainReport) -> None:
        if now.stage == "Encoding pictures" and now.images == now.total:
            for path in own.train.cache.rglob("*.safetensors"):
                path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(InputError, match=r"^cannot read [^\n]*; delete it and run again$"):
        train(own, resume=False, report=damage, say=print)


def test_pictures_that_are_not_prepared_are_left_out_with_a_line(short, dataset, tmp_path):
    copy = DatasetLayout(Path(shutil.copytree(dataset.root, tmp_path / "copy")))
    copy.texture("train", copy.names("train")[0].removesuffix(".jpg")).unlink()
    said: list[str] = []
    own = with_train(short, dataset=copy.root, cache=None, images=4)
    train(own, resume=False, report=lambda _: None, say=said.append)
    assert said[0] == (
        "left out, because they are not prepared: 1 of 6 listed pictures, and 4 of 12 pairs"
    )
    for name in copy.names("train"):
        copy.image("train", name.removesuffix(".jpg")).unlink()
    with pytest.raises(InputError, match="no pair of prepared pictures"):
        run(with_train(own, output=tmp_path / "elsewhere"))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_the_step_and_stops_with_a_line(finished, short, signum):
    def interrupt(now: TrainReport) -> None:
        if now.images == 12:
            os.kill(os.getpid(), signum)

    with pytest.raises(StoppedError, match=r"after 12 pictures.*--resume"):
        train(short, resume=False, report=interrupt, say=print)
    assert checkpoint.checkpoints(short.train.output)[-1].name == "000000012"
    assert_equal(weights(finished.pipeline), weights(run(short, resume=True)))


@pytest.mark.parametrize("stage", ["Training the image encoder", "Encoding pictures"])
def test_before_training_begins_ctrl_c_says_that_too(finished, tmp_path, stage):
    def interrupt(now: TrainReport) -> None:
        if now.stage == stage:
            os.kill(os.getpid(), signal.SIGINT)

    settings = with_train(finished.settings, output=tmp_path / "run", cache=tmp_path / "cache")
    told = "^interrupted before the first checkpoint: .* the same command begins again$"
    with pytest.raises(StoppedError, match=told):
        train(settings, resume=False, report=interrupt, say=print)
    assert not (settings.train.output / "checkpoints").exists()
    assert_equal(weights(finished.pipeline), weights(run(settings)))


def test_ctrl_c_on_the_last_step_stops_as_well(finished, short):
    def interrupt(now: TrainReport) -> None:
        if now.stage == "Training" and now.images == now.total:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(StoppedError, match=r"after 24 pictures, which are saved.*--resume"):
        train(short, resume=False, report=interrupt, say=print)
    assert not (short.train.output / "pipeline").exists()
    assert_equal(weights(finished.pipeline), weights(run(short, resume=True)))


def test_every_step_is_a_row_of_the_log(finished, short):
    def rows(settings: Settings) -> list[list[str]]:
        with (settings.train.output / "log.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))

    head, *steps = rows(finished.settings)
    assert head == [
        *("images", "loss", "gradient_norm", "learning_rate", "images_per_second"),
        "correspondence",
    ]
    reports = [report for report in finished.reports if report.stage == "Training"]
    assert [[int(row[0]), *map(float, row[1:4])] for row in steps] == [
        [r.images, r.loss, r.gradient_norm, r.learning_rate] for r in reports
    ]
    assert all(float(row[4]) > 0 for row in steps)

    def stop(now: TrainReport) -> None:
        if now.stage == "Training" and now.images == 16:
            raise KeyboardInterrupt

    with pytest.raises(StoppedError):  # after a row that no checkpoint holds
        train(short, resume=False, report=stop, say=print)
    log = short.train.output / "log.csv"
    log.write_text(log.read_text() + "12,0.5,0.5,0.5,0.5\n16,0.", encoding="utf-8")
    run(short, resume=True)
    assert [row[:4] for row in rows(short)] == [head[:4], *(row[:4] for row in steps)]


def test_accumulated_batches_train_like_whole_ones(short, tmp_path):
    losses = {}
    for accumulation in (1, 2):
        parts = {"batch_size": 4 // accumulation, "accumulation": accumulation}
        options = {**parts, "learning_rate": 1e-3, "output": tmp_path / f"by{accumulation}"}
        losses[accumulation] = [step.loss for step in steps_of(with_train(short, **options))]
    assert len(losses[1]) == 6
    assert losses[1] == pytest.approx(losses[2], abs=1e-5)
    assert len(set(losses[1])) == 6


def test_steps_and_validation_are_logged_and_drawn(short):
    said: list[str] = []
    watched = with_train(short, validate_every=12, validation_pairs=2)
    train(watched, resume=False, report=lambda _: None, say=said.append)
    scores = [line for line in said if "PSNR" in line]
    assert [line.split()[1] for line in scores] == ["12", "24"]
    sheets = sorted((watched.train.output / "validation").iterdir())
    assert [sheet.name for sheet in sheets] == ["000000012.png", "000000024.png"]
    assert read_image(sheets[0]).shape == (24 + 2 * 264, 5 * round(264 * 88 / 128), 3)
    events = EventAccumulator(str(watched.train.output / "logs" / "mcld")).Reload()
    for name in ("loss", "gradient_norm", "learning_rate"):
        assert [event.step for event in events.Scalars(name)] == [4, 8, 12, 16, 20, 24]
    for name in ("psnr", "ssim"):
        assert [event.step for event in events.Scalars(f"validation/{name}")] == [12, 24]
    assert [event.step for event in events.Images("validation")] == [12, 24]


def test_without_test_pairs_there_are_no_sheets_and_training_goes_on(short, dataset, tmp_path):
    copy = DatasetLayout(Path(shutil.copytree(dataset.root, tmp_path / "copy")))
    copy.pairs_file("test").unlink()
    said: list[str] = []
    wanted = with_train(short, dataset=copy.root, cache=None, images=4, validate_every=4)
    train(wanted, resume=False, report=lambda _: None, say=said.append)
    assert "no validation sheets" in " ".join(said)


def test_validation_changes_nothing_in_training(finished, short):
    watched = run(with_train(short, validate_every=8, validation_pairs=1))
    assert len(list((watched.parent / "validation").iterdir())) == 3
    assert_equal(weights(finished.pipeline), weights(watched))


def test_sheets_and_the_finished_network_are_of_averaged_weights_and_checkpoints_of_raw_ones(
    short, dataset, tmp_path
):
    settings = with_train(
        short,
        images=12,
        learning_rate=2e-2,
        ema_decay=0.25,
        checkpoint_every=4,
        keep=3,
        validate_every=4,
        validation_pairs=1,
    )
    averaged = load_pipeline(run(settings))
    folders = checkpoint.checkpoints(settings.train.output)
    steps = [load_pipeline(settings.train.output / "start").network for _ in folders]
    for network, folder in zip(steps, folders, strict=True):
        load_checkpoint(network, folder)
    first, second, third = (network.state_dict() for network in steps)
    for key, tensor in averaged.network.state_dict().items():
        expected = 0.25 * (0.25 * first[key] + 0.75 * second[key]) + 0.75 * third[key]
        torch.testing.assert_close(tensor, expected, atol=1e-5, rtol=1e-4, msg=key)
    key = "denoising_unet.conv_out.weight"
    assert (averaged.network.state_dict()[key] - third[key]).abs().max() > 1e-3

    raw = load_pipeline(settings.train.output / "pipeline")
    raw.network.load_state_dict(third)
    accelerator = Accelerator(cpu=runs_on_cpu())
    drawn = {}
    for name, pipeline in (("averaged", averaged), ("raw", raw)):
        elsewhere = with_train(settings, output=tmp_path / name)
        sheets = Validation.of_test_split(elsewhere, dataset, pipeline, accelerator, print)
        sheets.run(accelerator, 12, print)
        drawn[name] = read_image(tmp_path / name / "validation" / "000000012.png").astype(int)
    sheet = read_image(settings.train.output / "validation" / "000000012.png")
    # A matrix product may round otherwise where its weights lie otherwise in memory.
    assert np.abs(sheet - drawn["averaged"]).max() <= 1
    assert np.abs(sheet - drawn["raw"]).max() > 1


def test_the_record_beside_the_weights_tells_how_they_came_about(finished):
    record = yaml.safe_load((finished.pipeline / "training.yaml").read_text())
    assert record["settings"]["train"]["images"] == 24
    assert record["versions"]["torch"] == torch.__version__.partition("+")[0]
    in_checkout = (Path(__file__).parents[2] / ".git").exists()
    assert bool(record["commit"]) == in_checkout


def test_a_tracker_that_is_not_installed_is_named(short):
    with pytest.raises(SettingsError, match="wandb is not installed"):
        run(with_train(short, trackers=("wandb",)))


def test_a_network_is_trained_and_samples_without_the_conditions_left_out(short, tmp_path):
    ablated = {"focal_conditions": ("texture",), "reference_input": "source"}
    settings = untrained(with_settings(short, "model", **ablated), tmp_path / "new")
    plain = {"learning_rate": 1e-2, "weight_decay": 0.0, "ema_decay": 0.0}
    pipeline = load_pipeline(run(with_train(settings, images=8, **plain)))
    projector, untaught = (p.image_projector for p in (pipeline, load_pipeline(tmp_path / "new")))
    assert torch.equal(projector.proj_in.weight, untaught.proj_in.weight)  # it saw no face
    assert not torch.equal(projector.proj_out.weight, untaught.proj_out.weight)
    pipeline.set_progress_bar_config(disable=True)
    first, second = read_training_picture(short, 0), read_training_picture(short, 4)
    inputs = pipeline.inputs([first.photo], [first.texture], [first.iuv], first.face[None], 64, 48)
    with torch.no_grad():
        conditions = pipeline.conditions(inputs)
        # Laid out as the pipeline's own: in other strides a CPU may round otherwise.
        pixels = pipeline.image_processor.preprocess([first.photo], 64, 48).contiguous()
        of_source, _ = pipeline.encode_moments(pixels)
    assert not conditions.source.any()
    assert not conditions.face.any()
    assert conditions.texture.any()
    assert torch.equal(conditions.reference_latents, of_source)

    def paint(source, face):
        pose = Image.fromarray(np.ascontiguousarray(first.iuv[..., ::-1]))
        return pipeline(
            source, first.texture, pose, face, latents=noise, output_type="latent"
        ).images

    noise = torch.randn(1, 12, 8, 6, generator=torch.Generator().manual_seed(0))
    picture = paint(first.photo, first.face[None])
    assert torch.equal(picture, paint(first.photo, second.face[None]))
    assert not torch.equal(picture, paint(second.photo, first.face[None]))


def read_training_picture(settings: Settings, number: int):
    layout = DatasetLayout(settings.train.dataset)
    return read_prepared(layout, "train", layout.names("train")[number].removesuffix(".jpg"))


def test_the_learning_rate_warms_up_then_stays_or_falls_along_a_cosine():
    options = TrainSettings(learning_rate=1e-3, lr_warmup_images=100, images=1000)
    assert learning_rate(options, 0) == pytest.approx(1e-5)
    assert learning_rate(options, 99) == learning_rate(options, 999) == pytest.approx(1e-3)
    cosine = options.model_copy(update={"lr_schedule": "cosine"})
    assert learning_rate(cosine, 500) == pytest.approx(5e-4)
    assert learning_rate(cosine, 1000) == pytest.approx(0)


def test_a_share_of_the_samples_trained_on_wears_patches(finished, short):
    plain = [report.loss for report in finished.reports if report.stage == "Training"]
    patched = steps_of(with_settings(with_train(short, images=8), "mannequin", patches=1.0))
    assert all(step.loss != loss for step, loss in zip(patched, plain, strict=False))
