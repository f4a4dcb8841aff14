"""Encoded pictures on disk: made once, never used when they are stale."""

import shutil
from pathlib import Path

import pytest
import torch

from mcld.dataset.layout import DatasetLayout
from mcld.errors import InputError
from mcld.pipeline import MCLDPipeline
from mcld.train.cache import EncodedCache, cache_key
from mcld.train.encode import fill_cache

SIZE = (64, 48)


@pytest.fixture
def filled(
    dataset: DatasetLayout, pipeline: MCLDPipeline, tmp_path: Path
) -> tuple[EncodedCache, list[str]]:
    copy = DatasetLayout(Path(shutil.copytree(dataset.root, tmp_path / "copy")))
    stems = [name.removesuffix(".jpg") for name in copy.names("train")]
    cache = EncodedCache(tmp_path / "encoded", copy, "train")
    assert cache.missing(stems) == stems
    fill_cache(cache, pipeline, stems, SIZE, lambda _: None)
    return cache, stems


def test_what_is_encoded_is_not_encoded_again(filled) -> None:
    cache, stems = filled
    assert cache.missing(stems) == []
    assert cache.size(stems) == sum(cache.path(stem).stat().st_size for stem in stems)


def test_a_picture_whose_files_changed_is_encoded_again(filled) -> None:
    cache, stems = filled
    cache.layout.texture("train", stems[0]).touch()
    cache.layout.face("train", stems[1]).unlink(missing_ok=True)
    cache.layout.face("train", stems[1]).parent.mkdir(exist_ok=True)
    cache.layout.face("train", stems[1]).write_bytes(b"another")
    cache.path(stems[2]).write_bytes(cache.path(stems[2]).read_bytes()[:100])
    assert cache.missing(stems) == stems[:3]


def test_a_picture_that_changes_while_it_is_encoded_is_not_taken_for_fresh(
    filled, pipeline: MCLDPipeline
) -> None:
    cache, stems = filled
    cache.path(stems[0]).unlink()
    made_from = cache.made_from(stems[0])
    cache.layout.image("train", stems[0]).touch()
    other = EncodedCache(cache.folder, cache.layout, "train")
    other.made_from = lambda _: made_from  # type: ignore[method-assign]
    fill_cache(other, pipeline, stems[:1], SIZE, lambda _: None)
    assert cache.missing(stems) == stems[:1]


def test_the_key_is_of_weights_and_size_and_not_of_the_place(
    pipeline: MCLDPipeline, tmp_path: Path
) -> None:
    pipeline.save_pretrained(tmp_path / "a")
    pipeline.save_pretrained(tmp_path / "b")
    key = cache_key(tmp_path / "a", SIZE)
    assert key == cache_key(tmp_path / "b", SIZE)
    assert key != cache_key(tmp_path / "a", (48, 64))
    for part in ("vae", "image_encoder"):
        with torch.no_grad():
            next(iter(pipeline.components[part].parameters())).add_(1e-3)
        pipeline.save_pretrained(tmp_path / part)
        assert cache_key(tmp_path / part, SIZE) != key
    pipeline.vae.register_to_config(scaling_factor=0.5)
    pipeline.save_pretrained(tmp_path / "scaled")
    assert cache_key(tmp_path / "scaled", SIZE) != cache_key(tmp_path / "image_encoder", SIZE)


def test_the_standard_deviation_of_source_embeddings_is_over_all_pictures(filled) -> None:
    cache, stems = filled
    embeddings = torch.stack([cache.read(stem, "source")[0] for stem in stems])
    torch.testing.assert_close(cache.source_std(stems), embeddings.std(dim=0))


def test_a_damaged_file_is_named(filled) -> None:
    cache, stems = filled
    cache.path(stems[0]).write_bytes(b"no tensors")
    with pytest.raises(InputError, match=f"{stems[0]}.safetensors"):
        cache.read(stems[0], "latents")
