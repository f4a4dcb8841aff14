"""Starting from Stable Diffusion, on small networks in the real formats."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, ModelMixin
from safetensors.torch import load_file

from mcld.errors import WeightsError
from mcld.mannequin.pose_guider import TexturedPoseGuider
from mcld.networks.checkpoints import save_checkpoint
from mcld.networks.folders import load_pipeline, load_weights
from mcld.pipeline import MCLDPipeline
from mcld.settings import Settings
from mcld.train.loop import train
from mcld.train.plan import check_start
from mcld.train.pretrained import load_pretrained
from mcld.train.start import make_pipeline
from tests.pretrained_folder import write_pretrained


@pytest.fixture
def pretrained(tmp_path: Path) -> Path:
    """The pretrained folder, of small widths."""
    write_pretrained(tmp_path / "pretrained_weights")
    return tmp_path / "pretrained_weights"


@pytest.fixture
def settings(tiny: Settings, pretrained: Path) -> Settings:
    changes = {"pretrained": pretrained, "images": 8, "batch_size": 4, "workers": 0}
    return tiny.model_copy(update={"train": tiny.train.model_copy(update=changes)})


def from_pretrained(settings: Settings) -> MCLDPipeline:
    options = settings.train
    return make_pipeline(
        settings, **load_pretrained(options.pretrained, settings.model, options.seed)
    )


def test_the_weights_go_where_the_paper_puts_them(settings: Settings, pretrained: Path) -> None:
    pipeline = from_pretrained(settings)
    unet = load_file(pretrained / "stable-diffusion-v1-5/unet/diffusion_pytorch_model.safetensors")
    weights = pipeline.denoising_unet.state_dict()
    assert all(torch.equal(weights[key], unet[key]) for key in unet)
    weights = pipeline.reference_unet.state_dict()
    assert all(torch.equal(weights[key], unet[key]) for key in weights)
    assert {key.partition(".")[0] for key in set(unet) - set(weights)} == {
        "conv_norm_out",
        "conv_out",
    }
    new = set(pipeline.denoising_unet.state_dict()) - set(unet)
    assert {key.rpartition("processor.")[2] for key in new} == {"to_k_ip.weight", "to_v_ip.weight"}
    guider = load_file(pretrained / "control_v11p_sd15_seg/diffusion_pytorch_model.safetensors")
    for key, tensor in pipeline.pose_guider.state_dict().items():
        if key.startswith("conv_out"):
            assert not tensor.any()
        else:
            assert torch.equal(tensor, guider[f"controlnet_cond_embedding.{key}"])


def test_files_that_pytorch_wrote_are_read_as_well(settings: Settings, pretrained: Path) -> None:
    before = from_pretrained(settings).network.state_dict()
    for path in pretrained.rglob("*.safetensors"):
        name = "pytorch_model.bin" if path.parent.name == "image_encoder" else f"{path.stem}.bin"
        torch.save(load_file(path), path.with_name(name))
        path.unlink()
    after = from_pretrained(settings).network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("pose_input", ["iuv", "textured"])
def test_training_starts_there_and_ends_in_a_pipeline_that_samples(
    settings: Settings, pose_input: str
) -> None:
    folder = train(posed(settings, pose_input), resume=False, report=lambda _: None, say=print)
    pipeline = load_pipeline(folder)
    assert isinstance(pipeline.vae, AutoencoderKL)
    assert isinstance(pipeline.pose_guider, TexturedPoseGuider) == (pose_input == "textured")
    assert pipeline.picture_size(None, None) == (64, 48)


def posed(settings: Settings, pose_input: str) -> Settings:
    """The same settings, with what the pose guider sees."""
    mannequin = settings.mannequin.model_copy(update={"pose_input": pose_input})
    return settings.model_copy(update={"mannequin": mannequin})


@pytest.mark.parametrize("pose_input", ["iuv", "textured"])
def test_the_four_files_sample_with_the_encoders_of_the_pretrained_folder(
    settings: Settings, pretrained: Path, tmp_path: Path, pose_input: str
) -> None:
    """As for the authors' own release, which holds nothing but these files."""
    settings = posed(settings, pose_input)
    folder = train(settings, resume=False, report=lambda _: None, say=print)
    alone = (folder.parent / "weights").rename(tmp_path / "checkpoints")
    (alone / "image_projector.pth").rename(alone / "image_proj_model.pth")
    sample = settings.sample.model_copy(update={"pretrained": pretrained})
    loaded = load_weights(alone, settings.model_copy(update={"sample": sample}))
    expected = load_pipeline(folder)
    assert loaded.config.pose_resample == expected.config.pose_resample
    for name, part in expected.components.items():
        if isinstance(part, torch.nn.Module):
            if name != "image_encoder":  # whose configuration is none of diffusers'
                assert layout(loaded.components[name]) == layout(part)
            for key, tensor in part.state_dict().items():
                assert torch.equal(tensor, loaded.components[name].state_dict()[key]), key


def layout(part: ModelMixin) -> str:
    """What a part is, without where it was loaded from and the picture size it was trained at."""
    kept = {k: v for k, v in part.config.items() if not k.startswith("_") and k != "sample_size"}
    return json.dumps(kept, sort_keys=True)


def test_four_files_without_a_pretrained_folder_are_told_what_to_set(
    settings: Settings, pretrained: Path, tmp_path: Path
) -> None:
    save_checkpoint(from_pretrained(settings).network.state_dict(), tmp_path)
    with pytest.raises(WeightsError, match=r"there is no such folder: set sample\.pretrained"):
        load_weights(tmp_path, settings)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            "stable-diffusion-v1-5/unet/diffusion_pytorch_model.safetensors",
            r"unet lacks .*\(or \.bin\): mcld weights download unet",
        ),
        ("stable-diffusion-v1-5/unet/config.json", r"unet lacks config\.json"),
        ("sd-vae-ft-mse/diffusion_pytorch_model.safetensors", r"mcld weights download vae"),
        (
            "control_v11p_sd15_seg/diffusion_pytorch_model.safetensors",
            r"control_v11p_sd15_seg lacks",
        ),
        ("image_encoder/model.safetensors", r"image_encoder lacks model\.safetensors"),
    ],
)
def test_a_missing_file_is_named_with_how_to_get_it(
    settings: Settings, pretrained: Path, file: str, message: str
) -> None:
    (pretrained / file).unlink()
    with pytest.raises(WeightsError, match=message):
        from_pretrained(settings)


def test_weights_of_another_network_are_refused(settings: Settings, pretrained: Path) -> None:
    unet = pretrained / "stable-diffusion-v1-5/unet/diffusion_pytorch_model.safetensors"
    guider = pretrained / "control_v11p_sd15_seg/diffusion_pytorch_model.safetensors"
    whole = guider.read_bytes()
    guider.write_bytes(unet.read_bytes())
    with pytest.raises(WeightsError, match="is no ControlNet"):
        from_pretrained(settings)
    unet.write_bytes(whole)
    with pytest.raises(WeightsError, match="is of another network"):
        from_pretrained(settings)


def test_without_the_folder_both_ways_out_are_named(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"mcld weights download unet .*configs/mannequin\.yaml"):
        check_start(settings.train.model_copy(update={"pretrained": tmp_path / "nothing"}))
