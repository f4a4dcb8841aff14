import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcld.errors import SettingsError
from mcld.networks.folders import load_pipeline
from mcld.person.reader import PersonReader
from mcld.sample.engine import OnnxEngine, resolve_engine
from mcld.sample.request import PictureRequest
from mcld.sample.torch_engine import TorchEngine
from mcld.sampling.open import hash_pipeline
from mcld.settings import load_settings
from mcld.studio.machine import EXAMPLES

PHOTOS = sorted(EXAMPLES.glob("*.jpg"))
POSES = ("walking", "hand-raised", "half-turned")


def ask(tmp_path: Path, **changed) -> PictureRequest:
    given = {"sources": (PHOTOS[0],), "pose": Path("walking"), "out": tmp_path / "out.png"}
    return PictureRequest(**{**given, **changed})


def test_both_engines_paint_the_same_pictures_of_people_poses_and_seeds(tmp_path: Path):
    settings = load_settings(None, [])
    engines = OnnxEngine(settings.sample), TorchEngine(ask(tmp_path), settings)
    assert engines[0].open(print) == engines[1].open(print)
    reader = PersonReader(settings.prepare, "cpu", print, "head_crop")
    shares = []
    for number, photo in enumerate(PHOTOS):
        person = reader.person(photo)
        iuv = reader.pose_of(person, Path(POSES[number % len(POSES)]))
        seeds = (number, 1000 + number)
        one, other = (
            np.stack(engine.paint(person, iuv, seeds, lambda *_: None)).astype(int)
            for engine in engines
        )
        assert np.abs(one - other).max() <= 1
        shares.append((one != other).mean())
        assert np.abs(one[0] - one[1]).max() > 1  # the seed counts
    assert np.mean(shares) < 2e-3


def test_the_graphs_are_of_the_weights_that_come_with_mcld():
    assert OnnxEngine(load_settings(None, []).sample).weights == hash_pipeline(load_pipeline()), (
        "python scripts/export_embedded.py"
    )


def test_one_picture_of_a_photo_loads_no_pytorch(tmp_path: Path):
    code = (
        "import sys; from mcld_cli.app import main\n"
        "try: main()\n"
        "finally: print([m for m in ('torch', 'diffusers', 'transformers') if m in sys.modules])"
    )
    out = tmp_path / "out.png"
    arguments = ["sample", "--source", PHOTOS[0], "--pose", "walking", "--out", out, "--seed", "3"]
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "[]"
    with Image.open(out) as picture:
        assert json.loads(picture.text["mcld"])["engine"] == "onnx"


OBSTACLES = [
    "sample.num_inference_steps=2",
    "sample.guidance_scale=2",
    "sample.guidance_interval=[0.0, 0.5]",
    "sample.cache_interval=2",
    "sample.scheduler=ddim",
    "scheduler.beta_end=0.02",
    "sample.height=128",
    "sample.dtype=bfloat16",
    "sample.device=cuda",
    "sample.compile=true",
    "sample.low_memory=true",
    "sample.storage_dtype=float8",
]


@pytest.mark.parametrize("override", OBSTACLES)
def test_what_the_graphs_do_not_do_is_pytorchs(tmp_path: Path, override: str):
    request = ask(tmp_path)
    assert resolve_engine(request, load_settings(None, [override])) == "torch"
    with pytest.raises(SettingsError, match="--engine onnx paints single pictures of the network"):
        resolve_engine(request, load_settings(None, [override, "sample.engine=onnx"]))


def test_other_weights_and_attention_maps_are_pytorchs(tmp_path: Path):
    settings = load_settings(None, [])
    for changed in ({"weights": tmp_path}, {"attention_maps": True}):
        assert resolve_engine(ask(tmp_path, **changed), settings) == "torch"


def test_the_size_it_was_trained_at_is_no_obstacle(tmp_path: Path):
    settings = load_settings(None, ["sample.height=256", "sample.width=176", "sample.device=cpu"])
    assert resolve_engine(ask(tmp_path), settings) == "onnx"


def test_the_engine_is_a_setting(tmp_path: Path):
    settings = load_settings(None, ["sample.engine=torch"])
    assert resolve_engine(ask(tmp_path), settings) == "torch"


def test_where_densepose_reads_bodies_pytorch_is_loaded_anyway(tmp_path: Path):
    source, pose = PHOTOS[0], Path("walking")
    request = PictureRequest((source,), pose, tmp_path / "out.png")
    overrides = ["prepare.pose_estimator=densepose"]
    assert resolve_engine(request, load_settings(None, overrides)) == "torch"
    asked = load_settings(None, [*overrides, "sample.engine=onnx"])
    assert resolve_engine(request, asked) == "onnx"
