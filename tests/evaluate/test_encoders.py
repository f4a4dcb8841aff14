"""DINOv2 and CLIP see pictures as their makers' and their metrics' reference programs have it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import Compose, InterpolationMode, Normalize, Resize, ToTensor
from transformers import CLIPImageProcessor, CLIPModel, Dinov2Config, Dinov2Model

from mcld.errors import WeightsError
from mcld.evaluate.encoders import Clip, Dino
from mcld.mannequin.world import identity, pose, render
from mcld.networks.names import CLIP, DINOV2
from mcld.settings import Settings, load_settings
from mcld_cli.console import quiet_libraries
from tests.evaluate.encoders import write_encoders


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("encoders")
    write_encoders(root)
    return root


def in_folder(root: Path, *overrides: str) -> Settings:
    return load_settings(None, [f"sample.pretrained={root}", *overrides])


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """Of two sizes, as texture and photo may be."""
    shapes = ((256, 176), (256, 176), (300, 200))
    return [render(identity(2, k), pose(2, k, 0), shape)[0] for k, shape in enumerate(shapes)]


def test_dinov2_sees_what_dgm_eval_shows_it(pretrained, pictures, capfd):
    quiet_libraries()
    ours = Dino(in_folder(pretrained))(pictures)
    assert capfd.readouterr() == ("", "")
    see = Compose(
        [
            Resize((224, 224), InterpolationMode.BICUBIC),
            ToTensor(),
            Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    network = Dinov2Model.from_pretrained(pretrained / DINOV2.folder).eval()
    with torch.no_grad():
        seen = torch.stack([see(Image.fromarray(picture)) for picture in pictures])
        expected = network(seen).last_hidden_state[:, 0]
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)
    assert (ours[0] - ours[1]).abs().max() > 1e-2


def test_clip_sees_what_cmmd_shows_it_uncut(pretrained, pictures, capfd, caplog):
    quiet_libraries()
    ours = Clip(in_folder(pretrained))(pictures)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []  # of CLIP's text encoder, which the file holds as well
    network = CLIPModel.from_pretrained(pretrained / CLIP.folder).eval()
    squares = [
        np.asarray(Image.fromarray(p).resize((336, 336), Image.Resampling.BICUBIC)) / 255
        for p in pictures
    ]
    inputs = CLIPImageProcessor()(
        squares, do_resize=False, do_center_crop=False, do_rescale=False, return_tensors="pt"
    )
    with torch.no_grad():
        states = network.vision_model(inputs["pixel_values"].float()).pooler_output
        expected = torch.nn.functional.normalize(network.visual_projection(states))
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)
    assert (ours[0] - ours[1]).abs().max() > 1e-3


@pytest.mark.parametrize(("encoder", "source"), [(Dino, DINOV2), (Clip, CLIP)])
def test_what_is_not_there_or_another_network_is_named(encoder, source, pretrained, tmp_path):
    with pytest.raises(WeightsError, match=f"mcld weights download {source.name}"):
        encoder(in_folder(tmp_path))
    other = DINOV2 if source is CLIP else CLIP
    (tmp_path / source.folder).symlink_to(pretrained / other.folder)
    with pytest.raises(WeightsError, match=f"is not {source.repository}: .* such as"):
        encoder(in_folder(tmp_path))


def test_a_smaller_network_of_the_same_kind_is_named(tmp_path):
    small = Dinov2Config(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, patch_size=14)
    Dinov2Model(small).save_pretrained(tmp_path / DINOV2.folder)
    with pytest.raises(WeightsError, match="it gives vectors of 32 numbers, not 1024"):
        Dino(in_folder(tmp_path))


def test_a_file_cut_short_is_named(pretrained, tmp_path):
    folder = tmp_path / DINOV2.folder
    shutil.copytree(pretrained / DINOV2.folder, folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=r"cannot read the weights in .*dinov2-large"):
        Dino(in_folder(tmp_path))


def test_what_may_not_be_used_commercially_is_refused(pretrained):
    Dino(in_folder(pretrained, "prepare.commercial=true"))
    with pytest.raises(WeightsError, match="unclear whether for commercial use"):
        Clip(in_folder(pretrained, "prepare.commercial=true"))
