"""A new network and its frozen encoders."""

import numpy as np
import pytest
import torch
from PIL import Image

from mcld.dataset.layout import DatasetLayout
from mcld.errors import SettingsError
from mcld.pipeline import MCLDPipeline
from mcld.settings import Settings, load_settings
from mcld.train.start import fit_encoders, new_pipeline, part_colours
from tests.conftest import TINY


def test_the_same_seed_makes_the_same_network(tiny: Settings):
    one, two = new_pipeline(tiny).network.state_dict(), new_pipeline(tiny).network.state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("model.norm_num_groups=5", r"block_out_channels: 16 .* by model\.norm_num_groups, 5"),
        ("model.projector_dim=15", r"projector_dim: 15 .* by model\.projector_heads, 2"),
    ],
)
def test_widths_that_do_not_fit_together_are_named(key, message):
    with pytest.raises(SettingsError, match=message):
        new_pipeline(load_settings(None, [*TINY, key]))


def test_part_colours_are_means_over_each_part_and_unknown_where_it_is_not_seen():
    image = np.zeros((4, 6, 3), np.uint8)
    image[:, 3:] = (255, 51, 0)
    labels = np.zeros((4, 6, 3), np.uint8)
    labels[:, 3:, 2] = 7
    colours = part_colours(Image.fromarray(image), Image.fromarray(labels))
    torch.testing.assert_close(colours[0], torch.zeros(3))
    torch.testing.assert_close(colours[7], torch.tensor([1.0, 0.2, 0.0]))
    assert colours[[1, 6, 8, 24]].isnan().all()


def test_fitting_freezes_the_encoders_and_reports_to_the_end(
    tiny: Settings, dataset: DatasetLayout, pipeline: MCLDPipeline
):
    stems = [name.removesuffix(".jpg") for name in dataset.names("train")]
    before = pipeline.image_encoder.state_dict()["visual_projection.weight"].clone()
    counts: list[tuple[int, int]] = []
    fit_encoders(pipeline, dataset, stems, tiny, lambda *count: counts.append(count))
    assert counts[-1] == (128, 128)
    after = pipeline.image_encoder.state_dict()["visual_projection.weight"]
    assert not torch.equal(before, after)
    assert not any(p.requires_grad for p in pipeline.image_encoder.parameters())
    image = Image.open(dataset.image("train", stems[0]))
    back = pipeline.pictures_of(pipeline.latents_of([image], 64, 48))
    pixels = pipeline.image_processor.preprocess([image], 64, 48)
    assert ((back - pixels) ** 2).mean() < 0.2 * pixels.var()
