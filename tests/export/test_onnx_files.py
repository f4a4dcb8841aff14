import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler

from mcld.errors import MCLDError, SettingsError
from mcld.export import onnx_files
from mcld.export.onnx_files import compare_pictures, export_onnx, list_steps
from mcld.export.request import ExportRequest
from mcld.pipeline import ddim_scheduler
from mcld.sampling.onnx_pipeline import GRAPHS
from mcld.settings import Settings, load_settings
from mcld.train.pretrained import load_pretrained
from mcld.train.start import make_pipeline
from tests.conftest import TINY
from tests.pretrained_folder import write_pretrained


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of Stable Diffusion's parts, small, every weight of which is random."""
    root = tmp_path_factory.mktemp("pretrained")
    write_pretrained(root)
    settings = load_settings(None, [*TINY, "mannequin.pose_input=iuv"])
    pipeline = make_pipeline(settings, **load_pretrained(root, settings.model, 0))
    generator = torch.Generator().manual_seed(0)
    for parameter in pipeline.network.parameters():
        if not parameter.any():
            parameter.data.normal_(std=0.1, generator=generator)
    pipeline.save_pretrained(root / "pipeline")
    return root / "pipeline"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(None, ["sample.num_inference_steps=3", "sample.guidance_scale=2"])


@pytest.fixture(scope="module")
def exported(
    weights: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, onnx_files.Agreement]:
    out = tmp_path_factory.mktemp("out") / "graphs"
    request = ExportRequest(out, weights, settings.sample)
    counts: list[tuple[int, int]] = []
    found = export_onnx(request, settings, say=print, on_graph=lambda *c: counts.append(c))
    assert counts == [(k, 4) for k in range(5)]
    return out, found


def test_guided_steps_of_a_pipeline_of_stable_diffusion_are_the_same_picture(exported):
    _, found = exported
    assert found.psnr > 60
    assert found.levels <= 1


def test_other_programs_find_whole_graphs_and_what_they_must_know(exported):
    out, _ = exported
    told = json.loads((out / "pipeline.json").read_text())
    assert [step["timestep"] for step in told["steps"]] == [999, 666, 332]
    assert told["options"]["guidance_scale"] == 2
    for name in GRAPHS:
        onnx.checker.check_model(out / f"{name}.onnx")
        session = onnxruntime.InferenceSession(out / f"{name}.onnx")
        assert all(isinstance(side, int) for i in session.get_inputs() for side in i.shape)


def test_nothing_of_this_machine_is_in_a_graph(exported):
    out, _ = exported
    content = b"".join(path.read_bytes() for path in out.glob("*.onnx"))
    assert b".py" not in content
    assert str(Path(onnx_files.__file__).parents[2]).encode() not in content


def test_graphs_that_paint_another_picture_are_not_kept(
    weights: Path, settings: Settings, tmp_path: Path, exported, monkeypatch: pytest.MonkeyPatch
):
    def write_others(pipeline, options, hashed, inputs, folder, on_graph):
        for path in exported[0].iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        told = json.loads((folder / "pipeline.json").read_text())
        told["steps"][1]["alpha"] /= 2
        (folder / "pipeline.json").write_text(json.dumps(told))

    monkeypatch.setattr(onnx_files, "write_graphs", write_others)
    request = ExportRequest(tmp_path / "new" / "graphs", weights, settings.sample)
    with pytest.raises(MCLDError, match="the graphs paint another picture than PyTorch"):
        export_onnx(request, settings, say=print, on_graph=lambda *_: None)
    assert not list((tmp_path / "new").iterdir())


def test_the_steps_are_those_that_ddim_takes():
    scheduler = ddim_scheduler()
    steps = list_steps(scheduler, 4)
    scheduler.set_timesteps(4)
    generator = torch.Generator().manual_seed(0)
    latents, prediction = (torch.randn(16, generator=generator) for _ in range(2))
    from mcld.sampling.onnx_pipeline import _take_step

    for step, timestep in zip(steps, scheduler.timesteps, strict=True):
        wanted = scheduler.step(prediction, timestep, latents).prev_sample
        taken = _take_step(latents.numpy(), prediction.numpy(), step["alpha"], step["next_alpha"])
        np.testing.assert_allclose(taken, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "scheduler",
    [
        EulerDiscreteScheduler.from_config(ddim_scheduler().config),
        DDIMScheduler.from_config(ddim_scheduler().config, clip_sample=True),
    ],
)
def test_another_scheduler_than_plain_ddim_is_refused(scheduler):
    with pytest.raises(SettingsError, match="graphs sample by plain DDIM"):
        list_steps(scheduler, 4)


@pytest.mark.parametrize(
    "override",
    [
        "sample.device=cuda",
        "sample.scheduler=unipc",
        "sample.fast=true",
        "sample.dtype=bfloat16",
        "sample.guidance_interval=[0.2, 0.8]",
        "sample.cache_interval=2",
        "sample.compile=true",
    ],
)
def test_ways_to_sample_that_graphs_do_not_hold_are_refused_at_once(tmp_path: Path, override: str):
    name = override.partition("=")[0]
    with pytest.raises(SettingsError, match=f"graphs cannot hold {name}: leave it out"):
        ExportRequest(tmp_path / "graphs", None, load_settings(None, [override]).sample)


def test_a_folder_that_is_there_is_not_replaced(tmp_path: Path, settings: Settings):
    with pytest.raises(SettingsError, match="exists already: give the name of a new folder"):
        ExportRequest(tmp_path, None, settings.sample)


def test_a_package_that_is_missing_is_named(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("mcld.export.request.PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(MCLDError, match=r"needs no_such_package: pip install 'mcld\[onnx\]'"):
        ExportRequest(tmp_path / "graphs", None, settings.sample)


def test_how_near_pictures_are():
    one = np.zeros((2, 5, 1), np.uint8)
    other = one.copy()
    other[0, 0] = 3
    found = compare_pictures(one, other)
    assert (found.share, found.levels) == (0.1, 3)
    assert found.psnr == pytest.approx(20 * np.log10(255 / 3) + 10)
    assert compare_pictures(one, one).psnr == float("inf")
