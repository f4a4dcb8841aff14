"""Pictures encoded for training are what sampling encodes."""

import torch

from mcld.dataset.layout import DatasetLayout
from mcld.pipeline import MCLDPipeline
from mcld.train.encode import encode_pictures, read_batches, read_picture


def test_training_sees_what_sampling_computes(dataset: DatasetLayout, pipeline: MCLDPipeline):
    stems = [name.removesuffix(".jpg") for name in dataset.names("train")]
    done: list[int] = []
    encoded = encode_pictures(pipeline, dataset, "train", stems, (64, 48), done.append)
    assert done == [len(stems)]
    for row in (0, len(stems) - 1):
        files = read_picture(dataset, "train", stems[row])
        with torch.no_grad():
            conditions = pipeline.conditions(
                [files.image], [files.texture], [files.pose], files.face[None], 64, 48
            )
        for name in ("source", "texture", "texture_latents", "face"):
            torch.testing.assert_close(
                getattr(encoded, name)[row], getattr(conditions, name)[0], atol=1e-5, rtol=0
            )
        torch.testing.assert_close(encoded.pose[row] / 255, conditions.pose[0])


def test_batches_hold_every_picture_once_and_in_order(dataset: DatasetLayout):
    stems = [name.removesuffix(".jpg") for name in dataset.names("train")]
    for size in (1, 2, 4, 100):
        batches = list(read_batches(dataset, "train", stems, size))
        assert [len(b) for b in batches[:-1]] == [size] * (len(batches) - 1)
        poses = [files.pose.tobytes() for batch in batches for files in batch]
        assert poses == [read_picture(dataset, "train", stem).pose.tobytes() for stem in stems]
