"""Pictures encoded for training are what sampling encodes."""

from pathlib import Path

import torch

from mcld.conditions import scale_iuv
from mcld.dataset.layout import DatasetLayout
from mcld.person.prepared import read_batches, read_prepared
from mcld.pipeline import MCLDPipeline
from mcld.train.cache import EncodedCache
from mcld.train.encode import fill_cache


def test_training_sees_what_sampling_computes(
    dataset: DatasetLayout, pipeline: MCLDPipeline, tmp_path: Path
):
    stems = [name.removesuffix(".jpg") for name in dataset.names("train")]
    cache = EncodedCache(tmp_path, dataset, "train")
    done: list[int] = []
    fill_cache(cache, pipeline, stems, (64, 48), done.append)
    assert done == [len(stems)]
    for stem in (stems[0], stems[-1]):
        files = read_prepared(dataset, "train", stem)
        with torch.no_grad():
            inputs = pipeline.inputs(
                [files.photo], [files.texture], [files.iuv], files.face[None], 64, 48
            )
            conditions = pipeline.conditions(inputs)
        names = ("source", "texture", "face", "texture_latents", "pose")
        source, texture, face, texture_latents, pose = cache.read(stem, *names)
        for name, read in (
            ("source", source),
            ("texture", texture),
            ("face", face),
            ("reference_latents", texture_latents[0]),
            ("pose", scale_iuv(pose[None])[0]),
        ):
            torch.testing.assert_close(read, getattr(conditions, name)[0], atol=1e-5, rtol=0)


def test_batches_hold_every_picture_once_and_in_order(dataset: DatasetLayout):
    stems = [name.removesuffix(".jpg") for name in dataset.names("train")]
    for size in (1, 2, 4, 100):
        batches = list(read_batches(dataset, "train", stems, size))
        assert [len(b) for b in batches[:-1]] == [size] * (len(batches) - 1)
        poses = [files.iuv.tobytes() for batch in batches for files in batch]
        assert poses == [read_prepared(dataset, "train", stem).iuv.tobytes() for stem in stems]
