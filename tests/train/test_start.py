"""A new network with random weights."""

import pytest
import torch

from mcld.errors import SettingsError
from mcld.settings import Settings, load_settings
from mcld.train.start import new_pipeline
from tests.conftest import TINY


def test_the_same_seed_makes_the_same_network(tiny: Settings):
    one, two = new_pipeline(tiny).network.state_dict(), new_pipeline(tiny).network.state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            "mannequin.norm_num_groups=5",
            r"block_out_channels: 16 .* by mannequin\.norm_num_groups, 5",
        ),
        ("model.projector_dim=15", r"projector_dim: 15 .* by model\.projector_heads, 2"),
    ],
)
def test_widths_that_do_not_fit_together_are_named(key, message):
    with pytest.raises(SettingsError, match=message):
        new_pipeline(load_settings(None, [*TINY, key]))
