"""The same weights in other files, bit for bit."""

from pathlib import Path

import pytest
import torch

from mcld.errors import SettingsError, WeightsError
from mcld.machine.tensor_files import read_state_dict
from mcld.networks.folders import load_pipeline
from mcld.networks.names import FILE_STEMS
from mcld.settings import Settings, load_settings
from mcld.train.pretrained import load_pretrained
from mcld.weights.convert import convert
from tests.conftest import TINY
from tests.pretrained_folder import write_pretrained

HALF = "reference_unet"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    root = tmp_path / "pretrained_weights"
    write_pretrained(root)
    where = [f"train.pretrained={root}", f"sample.pretrained={root}"]
    return load_settings(None, [*TINY, *where])


@pytest.fixture
def authors(settings: Settings, tmp_path: Path) -> Path:
    """The authors' four files, under their names, one of them in half precision."""
    parts = load_pretrained(settings.train.pretrained, settings.model, seed=0)
    (tmp_path / "checkpoints").mkdir()
    for part in FILE_STEMS:
        shapes = parts[part].state_dict()
        weights = {key: torch.randn_like(tensor) for key, tensor in shapes.items()}
        if part == HALF:
            weights = {key: tensor.half() for key, tensor in weights.items()}
        name = "image_proj_model" if part == "image_projector" else part
        torch.save(weights, tmp_path / "checkpoints" / f"{name}.pth")
    return tmp_path / "checkpoints"


def test_round_all_formats_and_back_every_bit_is_kept(authors, settings, tmp_path):
    road = [authors]
    for to in ("safetensors", "pipeline", "pth", "pipeline", "safetensors", "pth"):
        road.append(tmp_path / f"{len(road)}")
        convert(road[-2], road[-1], to, settings)
    for part, names in FILE_STEMS.items():
        before = read_state_dict(authors / f"{names[-1]}.pth")
        after = read_state_dict(road[-1] / f"{names[0]}.pth")
        assert before.keys() == after.keys()
        for key, tensor in before.items():
            assert tensor.dtype == after[key].dtype == (torch.half if part == HALF else torch.float)
            assert torch.equal(tensor, after[key]), key


def test_the_pipeline_it_makes_has_those_weights_and_the_pretrained_encoders(
    authors, settings, tmp_path
):
    convert(authors, tmp_path / "pipeline", "pipeline", settings)
    pipeline = load_pipeline(tmp_path / "pipeline")
    weights = read_state_dict(authors / "denoising_unet.pth")
    for key, tensor in pipeline.denoising_unet.state_dict().items():
        assert torch.equal(tensor, weights[key])
    assert pipeline.config.pose_resample == "bicubic"
    assert pipeline.image_encoder.config.projection_dim == 16


def test_four_files_find_their_encoders_in_the_pipeline_that_they_came_from(
    authors, settings, tmp_path
):
    convert(authors, tmp_path / "first", "pipeline", settings)
    convert(tmp_path / "first", tmp_path / "four", "safetensors", settings)
    own = load_settings(None, [f"sample.pretrained={tmp_path / 'first'}"])
    convert(tmp_path / "four", tmp_path / "second", "pipeline", own)
    first, second = load_pipeline(tmp_path / "first"), load_pipeline(tmp_path / "second")
    for key, tensor in first.image_encoder.state_dict().items():
        assert torch.equal(tensor, second.image_encoder.state_dict()[key])


def test_nothing_is_written_over(authors, settings, tmp_path):
    with pytest.raises(SettingsError, match="exists already"):
        convert(authors, authors, "safetensors", settings)


@pytest.mark.parametrize("to", ["pth", "safetensors", "pipeline"])
def test_missing_weights_are_named_and_nothing_is_written(authors, settings, tmp_path, to):
    (authors / "pose_guider.pth").unlink()
    with pytest.raises(WeightsError, match="lacks the weights of pose_guider"):
        convert(authors, tmp_path / "new", to, settings)
    with pytest.raises(WeightsError, match="does not exist"):
        convert(tmp_path / "none", tmp_path / "new", to, settings)
    assert not (tmp_path / "new").exists()
