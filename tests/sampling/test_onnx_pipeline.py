import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mcld.errors import WeightsError
from mcld.networks.places import EMBEDDED
from mcld.sample.engine import GRAPHS
from mcld.sampling.onnx_pipeline import OnnxPipeline, draw_noise


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**40 + 5, 2**63 - 1])
@pytest.mark.parametrize("shape", [(1, 24, 32, 22), (1, 4, 5, 5), (1, 1, 3, 7)])
def test_noise_is_what_pytorch_draws(seed: int, shape: tuple[int, ...]):
    wanted = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    drawn = draw_noise(seed, wanted.numel()).reshape(shape)
    np.testing.assert_allclose(drawn, wanted, atol=1e-6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The graphs that come with mcld, to be damaged."""
    return Path(shutil.copytree(GRAPHS, tmp_path / "graphs"))


def test_a_folder_without_graphs_is_told(tmp_path: Path):
    with pytest.raises(WeightsError, match="holds no pipeline of ONNX graphs: `mcld export`"):
        OnnxPipeline.open(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 1}'])
def test_a_description_that_is_none_is_told(folder: Path, content: str):
    (folder / "pipeline.json").write_text(content)
    with pytest.raises(WeightsError, match="holds no pipeline of ONNX graphs"):
        OnnxPipeline.open(folder)


def test_graphs_of_another_version_are_told(folder: Path):
    told = json.loads((folder / "pipeline.json").read_text())
    (folder / "pipeline.json").write_text(json.dumps({**told, "format": 2}))
    with pytest.raises(WeightsError, match="was written by another version: export it again"):
        OnnxPipeline.open(folder)


def test_a_damaged_graph_is_named(folder: Path):
    (folder / "denoise.onnx").write_bytes(b"no graph")
    with pytest.raises(WeightsError, match=r"denoise\.onnx cannot be run"):
        OnnxPipeline.open(folder, EMBEDDED).prepare()


def test_weights_that_are_damaged_or_missing_are_named(folder: Path, tmp_path: Path):
    weights = Path(shutil.copytree(EMBEDDED, tmp_path / "weights"))
    vae = weights / "vae" / "diffusion_pytorch_model.safetensors"
    vae.write_bytes(vae.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"diffusion_pytorch_model\.safetensors cannot be read"):
        OnnxPipeline.open(folder, weights).prepare()
    vae.unlink()
    with pytest.raises(WeightsError, match=r"encode\.onnx cannot be run"):
        OnnxPipeline.open(folder, weights).prepare()
