"""What cannot be meant, or cannot be done here, is told before anything is made."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mcld.errors import InputError, MCLDError, SettingsError, WeightsError
from mcld.settings import Settings
from mcld.train.checks import check_optimizer
from mcld.train.plan import check_run
from mcld.train.report import count_noun
from mcld.train.stages import check_recipe, read_stages
from tests.conftest import FinishedRun
from tests.train.runs import run, with_train


def check(settings: Settings, **changes) -> None:
    check_run(with_train(settings, **changes).train, processes=1, resume=False)


def test_the_dataset_is_looked_at_before_the_output_folder_is_made(short, tmp_path):
    nowhere = with_train(short, dataset=tmp_path / "nowhere")
    with pytest.raises(InputError, match="is missing: prepare the dataset first") as caught:
        run(nowhere)
    assert "mcld prepare dataset/mannequin --mannequins 40" in str(caught.value)
    assert "configs/mannequin.yaml" in str(caught.value)
    assert not nowhere.train.output.exists()


def test_what_is_not_there_is_named_with_its_setting(short, tmp_path, monkeypatch):
    with pytest.raises(WeightsError, match=r"nothing \(train\.start_from\) .* does not exist"):
        check(short, start_from=tmp_path / "nothing")
    with pytest.raises(WeightsError, match=r"\(train\.start_from\) .* has no model_index\.json"):
        check(short, start_from=tmp_path)
    with pytest.raises(WeightsError, match=r"nothing \(train\.pretrained\) does not exist"):
        check(short, start_from=None, pretrained=tmp_path / "nothing")
    with pytest.raises(SettingsError, match=r"train\.images, 8, is less than one batch, 12"):
        check_run(with_train(short, images=8).train, processes=3, resume=False)
    monkeypatch.setattr("mcld.train.plan.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="wandb is not installed: pip install wandb"):
        check(short, trackers=("wandb",))
    with pytest.raises(SettingsError, match="needs the package bitsandbytes"):
        check(short, trackers=(), optimizer="adamw8bit")
    monkeypatch.setattr("mcld.train.plan.runs_on_cpu", lambda: True)
    with pytest.raises(SettingsError, match=r"train\.precision=fp16 needs a GPU"):
        check(short, trackers=(), precision="fp16")


def test_an_optimizer_without_kernels_for_the_device_is_refused(short):
    eight_bit = with_train(short, optimizer="adamw8bit").train
    for device in ("cuda", "cpu"):
        check_optimizer(eight_bit, torch.device(device))
    check_optimizer(short.train, torch.device("mps"))
    with pytest.raises(SettingsError, match=r"adamw8bit: .* Apple's GPUs: set it to adamw$"):
        check_optimizer(eight_bit, torch.device("mps"))


@pytest.mark.parametrize(
    "inside",
    [
        *("train", "test", "train_densepose", "test_texture", "train_face", "split"),
        *("train/runs", "split/a/b", "test/../train"),
    ],
)
@pytest.mark.parametrize("name", ["output", "cache"])
def test_a_run_does_not_write_into_the_folders_of_its_dataset(short, name, inside):
    folder = short.train.dataset / inside
    with pytest.raises(
        SettingsError, match=rf"^train\.{name}, .* the files of the prepared dataset"
    ):
        check(short, **{name: folder})


@pytest.mark.parametrize("name", ["output", "cache"])
def test_a_link_does_not_hide_what_a_folder_is(short, tmp_path, name):
    (tmp_path / "link").symlink_to(short.train.dataset / "train")
    with pytest.raises(SettingsError, match="among the files of the prepared dataset"):
        check(short, **{name: tmp_path / "link" / "run"})


def test_a_run_may_write_beside_the_folders_of_its_dataset(short):
    dataset = short.train.dataset
    for output in (dataset / "run1", dataset / "training", dataset):
        check(short, output=output)
    check(short, cache=dataset / "cache")


def test_a_run_does_not_write_over_what_it_starts_from(finished: FinishedRun, short, tmp_path):
    copy = finished.copy(tmp_path / "copy").train.output
    shutil.rmtree(copy / "checkpoints")
    for start in ("pipeline", "start"):
        with pytest.raises(SettingsError, match=r"train\.start_from, would be written over"):
            check(short, start_from=copy / start, output=copy)
        with pytest.raises(SettingsError, match=r"is in .*, train\.start_from, which is read"):
            check(short, start_from=copy / start, output=copy / start)
    pretrained = {"start_from": None, "pretrained": copy / "weights"}
    with pytest.raises(SettingsError, match=r"train\.pretrained, which is read"):
        check(short, **pretrained, output=copy / "weights" / "run")
    with pytest.raises(SettingsError, match=r"train\.pretrained, would be written over"):
        check(short, **pretrained, output=copy)
    check(short, start_from=copy / "pipeline", output=copy / "further")


def test_a_recipe_does_not_write_over_what_it_starts_from(finished: FinishedRun, short, tmp_path):
    (tmp_path / "recipe.yaml").write_text("stages: [{}, {train: {seed: 2}}]\n")

    def stages(output: Path) -> None:
        options = short.train
        settings = {
            "train.dataset": options.dataset,
            "train.start_from": finished.pipeline,
            "train.output": output,
        }
        words = [f"{name}={value}" for name, value in settings.items()]
        check_recipe(read_stages(tmp_path / "recipe.yaml", words), 1)

    with pytest.raises(SettingsError, match=r"train\.start_from, would be written over"):
        stages(finished.output)
    with pytest.raises(SettingsError, match="among the files of the prepared dataset"):
        stages(short.train.dataset / "train")
    stages(tmp_path / "runs")


def test_too_little_shared_memory_is_told_before_processes_load_into_it(short, monkeypatch):
    small = SimpleNamespace(free=64_000)
    monkeypatch.setattr("mcld.train.plan.shutil.disk_usage", lambda _: small)
    monkeypatch.setattr("mcld.train.plan.SHARED_MEMORY", Path("/"))
    with pytest.raises(MCLDError, match=r"has 0\.1 MB free.* --shm-size.*--ipc=host.*workers=0"):
        check(short, workers=2)
    check(short, workers=0)


def test_one_is_not_many():
    assert [count_noun(n, "step") for n in (0, 1, 2000)] == ["0 steps", "1 step", "2,000 steps"]
