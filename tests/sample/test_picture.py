"""One picture, from files to a file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcld.dataset.layout import DatasetLayout
from mcld.errors import InputError, MCLDError, SettingsError, WeightsError
from mcld.pipeline import MCLDPipeline
from mcld.sample.picture import conditions_beside, sample_picture
from mcld.settings import load_settings


@pytest.fixture
def files(dataset: DatasetLayout, pipeline: MCLDPipeline, tmp_path: Path) -> dict:
    """A test pair and a pipeline folder, as arguments of `sample_picture`."""
    pipeline.save_pretrained(tmp_path / "pipeline")
    source, target = (Path(name).stem for name in dataset.pairs("test")[0])
    return {
        "source": dataset.image("test", source),
        "pose": dataset.densepose("test", target),
        "out": tmp_path / "out" / "picture.png",
        "weights": tmp_path / "pipeline",
    }


def run(files: dict, *overrides: str) -> tuple[list[str], list[tuple[int, int]]]:
    said: list[str] = []
    steps: list[tuple[int, int]] = []
    settings = load_settings(None, ["sample.num_inference_steps=2", *overrides])
    sample_picture(settings, **files, say=said.append, on_step=lambda *step: steps.append(step))
    return said, steps


def test_the_picture_has_the_sources_size_and_every_step_is_reported(files):
    _, steps = run(files)
    assert steps == [(1, 2), (2, 2)]
    with Image.open(files["out"]) as picture, Image.open(files["source"]) as source:
        assert picture.size == source.size
        assert picture.mode == "RGB"


def test_same_seed_same_bytes_other_seed_others(files):
    pictures = []
    for seed in (3, 3, 4):
        run(files, f"sample.seed={seed}")
        pictures.append(files["out"].read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


def test_the_noise_schedule_is_a_setting(files):
    pictures = []
    for schedule in ("linear", "scaled_linear"):
        run(files, f"scheduler.beta_schedule={schedule}")
        pictures.append(files["out"].read_bytes())
    assert pictures[0] != pictures[1]


def test_the_embedded_network_is_used_and_said_so_when_no_weights_are_given(files):
    said, _ = run({**files, "weights": None})
    assert any("embedded mannequin network" in line for line in said)
    assert files["out"].exists()


def test_a_source_without_a_face_is_said_to_have_none(files, dataset, tmp_path):
    back = next(p for p in dataset.image("train", "x").parent.glob("*.jpg") if "back" in p.stem)
    said, _ = run({**files, "source": back})
    assert any("No face embedding" in line for line in said)


def test_a_picture_outside_a_dataset_is_refused_with_what_to_give(files, tmp_path):
    Image.new("RGB", (30, 40)).save(tmp_path / "alone.jpg")
    with pytest.raises(InputError, match="lies in no prepared dataset"):
        run({**files, "source": tmp_path / "alone.jpg"})


@pytest.mark.parametrize("argument", ["source", "pose"])
def test_a_file_that_is_not_there_is_named(files, tmp_path, argument):
    with pytest.raises(InputError, match=r"nothing\.png does not exist"):
        run({**files, argument: tmp_path / "nothing.png"})


def test_a_photo_given_as_pose_is_refused(files):
    with pytest.raises(InputError, match="is not an IUV map"):
        run({**files, "pose": files["source"]})
    assert not files["out"].exists()


def test_an_empty_pose_is_refused(files, tmp_path):
    Image.new("RGB", (30, 40)).save(tmp_path / "empty.png")
    with pytest.raises(InputError, match="shows nobody"):
        run({**files, "pose": tmp_path / "empty.png"})


def test_another_format_than_png_is_refused_before_any_work(files, tmp_path):
    with pytest.raises(SettingsError, match=r"name it \.png"):
        run({**files, "out": tmp_path / "picture.webp"})


def test_a_place_that_cannot_be_written_is_refused_before_any_work(files, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MCLDError, match="cannot write") as raised:
        run({**files, "out": tmp_path / "file" / "picture.png", "weights": tmp_path})
    assert not isinstance(raised.value, WeightsError)  # which looking for weights would have found


def test_a_folder_without_weights_is_refused_and_nothing_written(files, tmp_path):
    with pytest.raises(WeightsError):
        run({**files, "weights": tmp_path})
    assert not files["out"].exists()


def test_texture_and_face_are_found_beside_the_picture(files):
    texture, face = conditions_beside(files["source"])
    assert texture.size == (512, 512)
    assert np.asarray(texture).any()
    assert face.shape == (512,)
