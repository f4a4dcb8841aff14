"""Training on one picture, and what is not finite: named, and not blamed on the learning rate."""

import shutil
import warnings
from pathlib import Path

import pytest
import torch

from mcld.dataset.layout import DatasetLayout
from mcld.errors import InputError, MCLDError, WeightsError
from mcld.networks.folders import load_pipeline
from mcld.settings import Settings
from mcld.train.cache import EncodedCache
from mcld.train.encode import fill_cache
from mcld.train.finish import save_pipeline
from mcld.train.report import TrainReport
from tests.conftest import FinishedRun
from tests.train.runs import steps_of, weights, with_train


def train_on(settings: Settings, *, at_training=lambda: None) -> list[TrainReport]:
    """Train, and do something once the start is made and the pictures are encoded."""
    from mcld.train.loop import train

    reports: list[TrainReport] = []

    def say(line: str) -> None:
        if line.startswith("encoded pictures"):
            at_training()

    train(settings, resume=False, report=reports.append, say=say)
    return [report for report in reports if report.stage == "Training"]


def test_one_picture_is_trained_on(short: Settings, dataset: DatasetLayout, tmp_path: Path):
    copy = DatasetLayout(Path(shutil.copytree(dataset.root, tmp_path / "copy")))
    name = copy.names("train")[0]
    copy.write_names("train", [name])
    copy.write_pairs("train", [(name, name)])
    settings = with_train(short, dataset=copy.root, cache=None, images=8)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        reports = steps_of(settings)
    assert [report.images for report in reports] == [4, 8]
    made = weights(settings.train.output / "pipeline")
    assert all(tensor.isfinite().all() for tensor in made.values())


def damage(path: Path, name: str) -> None:
    """Put an infinity into one tensor of an encoded picture."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        about = file.metadata()
    tensors[name].view(-1)[0] = torch.inf
    save_file(tensors, path, about)


def test_an_encoded_picture_that_is_not_finite_is_named(short: Settings, tmp_path: Path):
    settings = with_train(short, cache=tmp_path / "cache", source_noise=0.0, images=400)
    wrong = settings.train.cache

    def damage_one() -> None:
        damage(min(wrong.rglob("*.safetensors")), "face")

    with pytest.raises(InputError) as caught:
        train_on(settings, at_training=damage_one)
    told = str(caught.value)
    assert "the face of the pair" in told
    assert min(wrong.rglob("*.safetensors")).stem in told
    assert "learning_rate" not in told


def test_a_picture_that_encoders_cannot_stand_is_named(finished: FinishedRun, tmp_path: Path):
    layout = DatasetLayout(finished.settings.train.dataset)
    pipeline = load_pipeline(finished.start)
    pipeline.vae.encoder.weight.data.view(-1)[0] = torch.nan
    stem = layout.names("train")[0].removesuffix(".jpg")
    cache = EncodedCache(tmp_path, layout, "train")
    with pytest.raises(WeightsError, match=rf"^latents of .*{stem}\.jpg is not finite"):
        fill_cache(cache, pipeline, [stem], (64, 48), lambda _: None)
    assert not cache.path(stem).exists()


@pytest.mark.parametrize("part", ["denoising_unet", "vae"])
def test_weights_to_start_from_that_are_not_finite_are_named(
    finished: FinishedRun, short: Settings, tmp_path: Path, part: str
):
    pipeline = load_pipeline(finished.pipeline)
    key, tensor = next(iter(pipeline.components[part].state_dict().items()))
    tensor.view(-1)[0] = torch.nan
    save_pipeline(pipeline, tmp_path / "wrong", short)
    with pytest.raises(WeightsError, match=rf"wrong: {key} of {part} is not finite"):
        steps_of(with_train(short, start_from=tmp_path / "wrong"))
    assert not (short.train.output / "start").exists()


def test_the_learning_rate_is_not_blamed_before_the_first_step(short: Settings):
    wild = with_train(short, source_noise=1e38, face_loss_weight=1e38, images=8)
    with pytest.raises(MCLDError, match="before the first step") as caught:
        steps_of(wild)
    assert "learning_rate" not in str(caught.value)
