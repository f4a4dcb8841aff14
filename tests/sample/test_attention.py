"""The sheet of attention maps."""

import numpy as np
import pytest
import torch
from PIL import Image

from mcld.model.attention import AttentionRecorder
from mcld.sample.attention import average_maps, draw_attention_sheet

LATENTS = (8, 6)
PICTURE = Image.new("RGB", (48, 64), "grey")


def record(face: dict[str, float], noise: float = 0) -> AttentionRecorder:
    """Of a block a stage; face: the strongest token's probability, the same everywhere."""
    recorder, generator = AttentionRecorder(), torch.Generator().manual_seed(0)
    for stage, (prefix, tokens, embeddings) in {
        "down": ("down_blocks.0", 48, 1),
        "mid": ("mid_block", 12, 2),
        "up": ("up_blocks.0", 48, 1),
    }.items():
        scores = torch.randn(tokens, 2 * tokens, generator=generator)
        recorder.reference[prefix] = scores.softmax(dim=1)[:, tokens:]
        recorder.aggregated[prefix] = torch.ones(tokens, embeddings) / embeddings
        shift = noise * torch.randn(tokens, generator=generator)
        strongest = face[stage] + shift
        recorder.face[prefix] = torch.stack([strongest, 1 - strongest], dim=1)
    return recorder


FACE = {"down": 0.6, "mid": 0.9, "up": 0.75}


def images(recorder: AttentionRecorder) -> dict[str, list]:
    """The drawn heat maps of each column, from the top."""
    figure = draw_attention_sheet(recorder, LATENTS, PICTURE, PICTURE)
    grid = np.array(figure.axes[:18]).reshape(3, 6)[:, 1:]
    return {column[0].get_title(): [i for a in column for i in a.images] for column in grid.T}


def test_all_maps_of_a_kind_share_a_scale_from_zero():
    shown = images(record(FACE))
    for name, maps in shown.items():
        both = "embedding" in name
        assert len(maps) == (2 if both else 3)
        assert len({image.get_clim() for image in maps}) == 1
        low, high = maps[0].get_clim()
        assert low == 0
        largest = max(image.get_array().max() for image in maps)
        assert high == (1 if both else pytest.approx(largest))


def test_a_constant_map_is_drawn_in_the_colour_of_its_value():
    maps = images(record(FACE, noise=1e-7))["face: strongest token"]
    for image, value in zip(maps, FACE.values(), strict=True):
        colours = image.to_rgba(image.get_array(), bytes=True)
        assert np.ptp(colours.astype(int), axis=(0, 1)).max() <= 1
        shade = image.cmap(value / 0.9, bytes=True)
        assert abs(colours[0, 0].astype(int) - shade).max() <= 1


def test_the_density_over_referencenets_input_has_the_share_that_goes_there_as_its_mean():
    recorder = record(FACE)
    maps = average_maps(recorder, LATENTS)
    for stage, prefix in {"down": "down_blocks.0", "up": "up_blocks.0"}.items():
        share = float(recorder.reference[prefix].sum(dim=1).mean())
        assert maps[stage]["where in its input"].mean() == pytest.approx(share, rel=1e-5)
