"""Several trainings, each further from the one before."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

from mcld.errors import SettingsError, StoppedError
from mcld.networks.folders import load_pipeline
from mcld.train.recipe import train_recipe
from mcld.train.report import TrainReport
from mcld.train.stages import read_stages
from tests.conftest import TINY, FinishedRun

RECIPE = """
config: shared.yaml
stages:
  - train: {images: 8}
  - train: {images: 12, seed: 3}
    mannequin: {patches: 0.5, pose_input: textured}
    adapt_decoder_images: 32
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "shared.yaml").write_text("train: {batch_size: 4, checkpoint_every: 4}\n")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path / "recipe.yaml"


@pytest.fixture
def overrides(finished: FinishedRun, tmp_path: Path) -> list[str]:
    """Of the first training; those after it start from the one before them."""
    options = finished.settings.train
    return [
        *TINY,
        f"train.dataset={options.dataset}",
        f"train.cache={options.cache}",
        f"train.start_from={finished.start}",
        f"train.output={tmp_path / 'runs'}",
    ]


def run(recipe: Path, overrides: list[str], report=lambda _: None) -> tuple[Path, list[str]]:
    stages: list[str] = []

    def note(now: TrainReport) -> None:
        stages.append(now.stage)
        report(now)

    folder = train_recipe(read_stages(recipe, overrides), report=note, say=print)
    return folder, list(dict.fromkeys(stages))


def test_each_training_goes_on_from_the_one_before_and_the_last_is_the_result(
    recipe, overrides, tmp_path
):
    folder, stages = run(recipe, overrides)
    assert folder == tmp_path / "runs" / "pipeline"
    assert "1/2 Training" in stages
    assert stages[-1] == "2/2 Adapting the decoder"
    first = load_pipeline(tmp_path / "runs" / "1" / "pipeline")
    start = load_pipeline(tmp_path / "runs" / "2" / "start")
    for key, tensor in first.denoising_unet.state_dict().items():
        assert torch.equal(tensor, start.denoising_unet.state_dict()[key]), key
    result = load_pipeline(folder)
    assert result.refiner.conv_out.weight.any()  # from zeros
    assert result.pose_guider.patch_embedding.weight.any()  # likewise
    trained = load_pipeline(tmp_path / "runs" / "2" / "pipeline")
    assert trained.refiner is None
    for name, tensor in trained.vae.half().state_dict().items():  # the refiner alone has learned
        assert torch.equal(tensor, result.vae.state_dict()[name].half())


def test_broken_off_it_goes_on_where_it_stopped_to_the_same_weights(
    recipe, overrides, tmp_path, capsys
):
    whole, _ = run(recipe, [*overrides, f"train.output={tmp_path / 'whole'}"])

    def stop(now: TrainReport) -> None:
        if now.stage == "2/2 Training" and now.images == 8:
            raise StoppedError("interrupted")

    told = r"in training 2/2, of which 4 pictures are saved in .*runs/2: the same command goes on"
    with pytest.raises(StoppedError, match=told):
        run(recipe, overrides, stop)
    folder, stages = run(recipe, overrides)
    assert not any(stage.startswith("1/2") for stage in stages)
    assert "2/2 Training" in stages
    for name in ("denoising_unet", "pose_guider", "vae", "refiner"):
        weights = load_pipeline(folder).components[name].state_dict()
        for key, tensor in load_pipeline(whole).components[name].state_dict().items():
            assert torch.equal(tensor, weights[key]), key
    assert run(recipe, overrides)[1] == []  # all of it is there
    assert "Training 2/2 is finished already" in capsys.readouterr().out

    recipe.write_text(RECIPE.replace("seed: 3", "seed: 4"))
    with pytest.raises(
        SettingsError, match=r"runs/2 was trained with other settings: train\.seed 3 -> 4"
    ):
        run(recipe, overrides)
    recipe.write_text(RECIPE.replace("images: 32", "images: 48"))
    with pytest.raises(SettingsError, match=r"runs/2 .*: adapt_decoder_images 32 -> 48"):
        run(recipe, overrides)
    recipe.write_text(RECIPE.replace("images: 8}", "images: 4}"))
    shutil.rmtree(tmp_path / "runs" / "1")
    with pytest.raises(SettingsError, match=r"runs/2 .*: the stages before"):
        run(recipe, overrides)


def test_ctrl_c_on_the_last_step_does_not_begin_the_next_training(recipe, overrides, tmp_path):
    def interrupt(now: TrainReport) -> None:
        if now.stage == "1/2 Training" and now.images == now.total:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(StoppedError, match="in training 1/2, of which 8 pictures are saved"):
        run(recipe, overrides, interrupt)
    assert not (tmp_path / "runs" / "2").exists()
    stages = run(recipe, overrides)[1]
    assert "1/2 Training" not in stages
    assert "2/2 Training" in stages


@pytest.mark.parametrize(
    ("stage", "images"), [("2/2 Sampling for the decoder", 8), ("2/2 Adapting the decoder", 64)]
)
def test_broken_off_an_adaptation_says_so_and_goes_on_to_the_same_weights(
    recipe, overrides, tmp_path, capsys, stage, images
):
    recipe.write_text(RECIPE.replace("decoder_images: 32", "decoder_images: 100"))
    whole, stages = run(recipe, [*overrides, f"train.output={tmp_path / 'whole'}"])
    assert stages[-2:] == ["2/2 Sampling for the decoder", "2/2 Adapting the decoder"]
    plan = "12 of 12 pairs are sampled, then 100 crops of what came out are learnt from"
    assert plan in capsys.readouterr().out
    assert not (tmp_path / "whole" / "2" / "adapting").exists()

    def interrupt(now: TrainReport) -> None:
        if (now.stage, now.images) == (stage, images):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(StoppedError) as caught:
        run(recipe, overrides, interrupt)
    told = str(caught.value)
    assert told.startswith("interrupted while the decoder of training 2/2 was adapted; the network")
    assert told.endswith("runs/2: the same command goes on")

    counts: list[tuple[str, int, int]] = []
    folder, _ = run(
        recipe, overrides, lambda now: counts.append((now.stage, now.images, now.total))
    )
    assert counts[0] == ("2/2 Sampling for the decoder", 4, 12)
    assert counts[-1] == ("2/2 Adapting the decoder", 100, 100)
    if stage == "2/2 Adapting the decoder":
        assert counts[3] == (stage, 64, 100)
    for name in ("vae", "refiner"):
        weights = load_pipeline(folder).components[name].state_dict()
        for key, tensor in load_pipeline(whole).components[name].state_dict().items():
            assert torch.equal(tensor, weights[key]), key
    assert not (tmp_path / "runs" / "2" / "adapting").exists()


def test_what_was_sampled_for_other_settings_is_not_used(recipe, overrides, tmp_path):
    def interrupt(now: TrainReport) -> None:
        if now.stage == "2/2 Adapting the decoder":
            os.kill(os.getpid(), signal.SIGINT)

    for seed in (3, 4):
        recipe.write_text(RECIPE.replace("seed: 3", f"seed: {seed}"))
        with pytest.raises(StoppedError):
            run(recipe, overrides, interrupt)
        found = list((tmp_path / "runs" / "2" / "adapting").iterdir())
        assert len(found) == 1
        if seed == 3:
            before = found
    assert found != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stages: []", "must hold `stages:`, a list of trainings"),
        ("- train: {images: 8}", "must hold `stages:`"),
        ("stages: [8]", "stage 1: give settings in their groups"),
        ("stages: [{train: {imags: 8}}]", r"stage 1: there is no setting train\.imags"),
        ("stages: [{train: {images: no}}]", r"images cannot be 'no' \(from .*yaml, stage 1\)"),
        (
            "stages: [{adapt_decoder_image: 8}]",
            "stage 1: there is no setting adapt_decoder_image; the nearest is adapt_decoder_images",
        ),
        (
            "stages: [{train: {adapt_decoder_images: 8}}]",
            r"no setting train\.adapt_decoder_images; the nearest is adapt_decoder_images, which",
        ),
        ("stages: [{mannequin: {decoder_image: 8}}]", r"nearest is mannequin\.decoder_images"),
        ("stages: [{adapt_decoder_images: -1}]", "stage 1: adapt_decoder_images cannot be '-1'"),
        ("stages: [{adapt_decoder_images: 8}]", "stage 1: .* small autoencoder of a new network"),
        ("config: [a, b]\nstages: [{}]", r"config cannot be \['a', 'b'\]: give one file"),
        ("config: none.yaml\nstages: [{}]", r"its `config:` .*none\.yaml is no file"),
        (
            "stages: [{train: {precision: bf16}}, {train: {precision: no}}]",
            r"train\.precision must be the same in all stages",
        ),
    ],
)
def test_a_recipe_that_is_none_is_said_to_be_none(tmp_path, text, message):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_stages(tmp_path / "recipe.yaml", [])


def test_the_recipe_of_the_shipped_network_can_be_read():
    stages = read_stages(Path("configs/mannequin-recipe.yaml"), [])
    assert [stage.settings.train.images for stage in stages] == [
        *(66_000, 96_000, 44_000, 46_400, 64_000),
        *(56_000, 26_000, 27_000, 45_000, 30_000),
    ]
    assert stages[-1].settings.mannequin.pose_input == "textured"
    assert stages[-1].adapt_decoder_images == 249_600
    assert stages[1].settings.train.start_from == stages[0].result


def test_the_recipe_from_dolls_to_people_goes_on_from_a_folder():
    (first,) = read_stages(Path("configs/people-recipe.yaml"), ["train.start_from=before"])
    assert first.settings.train.start_from == Path("before")
    assert (first.settings.train.images, first.adapt_decoder_images) == (27_000, 0)
    (last,) = read_stages(Path("configs/refiner-recipe.yaml"), ["train.start_from=before"])
    assert last.adapt_decoder_images == 200_000
    assert last.settings.mannequin.refiner_scale == 2
    for stage in (first, last):
        assert stage.settings.mannequin.pose_input == "textured"
