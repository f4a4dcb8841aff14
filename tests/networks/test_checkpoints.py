"""The four-file layout, read and written."""

import pytest
import torch

from mcld.errors import WeightsError
from mcld.networks.checkpoints import load_checkpoint, save_checkpoint
from mcld.networks.names import FILE_STEMS
from tests.golden import authors


@pytest.fixture(scope="module")
def config() -> dict:
    return authors.read(authors.FILES[0])[1]


def test_what_is_saved_is_loaded_to_the_bit(config, tmp_path):
    network = authors.network(config)
    save_checkpoint(network.state_dict(), tmp_path)
    other = authors.network({**config, "salt": "b."})
    load_checkpoint(other, tmp_path)
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[key]), key


def test_the_authors_files_and_names_are_read(config, tmp_path):
    network = authors.network(config)
    for part in FILE_STEMS:
        name = "image_proj_model" if part == "image_projector" else part
        torch.save(getattr(network, part).state_dict(), tmp_path / f"{name}.pth")
    other = authors.network({**config, "salt": "b."})
    load_checkpoint(other, tmp_path)
    assert torch.equal(network.image_projector.latents, other.image_projector.latents)


def test_the_keys_and_shapes_are_those_of_the_authors_modules(config):
    network = authors.network(config)
    for part, keys in authors.KEYS.items():
        ours = getattr(network, part).state_dict()
        assert {key: list(tensor.shape) for key, tensor in ours.items()} == keys, part


def test_a_missing_file_is_named_with_what_it_may_be_called(config, tmp_path):
    save_checkpoint(authors.network(config).state_dict(), tmp_path)
    (tmp_path / "image_projector.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"no image_projector: one of .*image_proj_model\.pth"):
        load_checkpoint(authors.network(config), tmp_path)


def test_a_network_of_other_widths_is_refused_with_the_key_and_both_shapes(config, tmp_path):
    save_checkpoint(authors.network(config).state_dict(), tmp_path)
    wider = {**config, "unet": {**config["unet"], "cross_attention_dim": 32}}
    with pytest.raises(WeightsError, match=r"attn2.* where the network has \[.*32\]"):
        load_checkpoint(authors.network(wider), tmp_path)


def test_missing_and_unknown_keys_are_named(config, tmp_path):
    network = authors.network(config)
    save_checkpoint(network.state_dict(), tmp_path)
    weights = network.pose_guider.state_dict()
    del weights["conv_in.weight"]
    torch.save(weights, tmp_path / "pose_guider.pth")
    (tmp_path / "pose_guider.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"lacks conv_in\.weight"):
        load_checkpoint(network, tmp_path)
    torch.save(
        {**network.pose_guider.state_dict(), "x": torch.ones(1)}, tmp_path / "pose_guider.pth"
    )
    with pytest.raises(WeightsError, match="has unknown x"):
        load_checkpoint(network, tmp_path)
