"""The pose guider is a ControlNet's conditioning embedding, which looks at the pose alone."""

import numpy as np
import torch
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding

from mcld.model import PoseGuider


def test_it_is_a_controlnets_conditioning_embedding_with_the_same_keys_and_output():
    torch.manual_seed(0)
    library = ControlNetConditioningEmbedding(8, block_out_channels=(4, 6, 8, 10))
    torch.nn.init.normal_(library.conv_out.weight)
    guider: PoseGuider = PoseGuider(8, (4, 6, 8, 10))
    guider.load_state_dict(library.state_dict())
    pose = torch.rand(2, 3, 32, 24)
    assert torch.equal(guider(pose), library(pose))


def test_untrained_it_changes_nothing():
    assert not PoseGuider(8, (4, 4, 4, 4))(torch.rand(1, 3, 16, 16)).any()


def test_it_looks_at_the_pose_alone():
    iuv = np.ones((16, 16, 3), np.uint8)
    assert PoseGuider.look(iuv, np.full((512, 512, 3), 200, np.uint8)) is None


def test_it_is_saved_and_loaded(tmp_path):
    guider: PoseGuider = PoseGuider(8, (4, 6, 8, 10))
    torch.nn.init.normal_(guider.conv_out.weight)
    guider.save_pretrained(tmp_path)
    pose = torch.rand(2, 3, 32, 24)
    assert torch.equal(PoseGuider.from_pretrained(tmp_path)(pose), guider(pose))
