"""One picture, from files to a file."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.outputs import hash_content
from mcld.errors import InputError, MCLDError, SettingsError, WeightsError
from mcld.networks.folders import load_pipeline
from mcld.pipeline import MCLDPipeline
from mcld.sample.engine import Engine, OnnxEngine, resolve_engine
from mcld.sample.picture import sample_picture
from mcld.sample.request import PictureRequest
from mcld.sample.torch_engine import TorchEngine
from mcld.sampling.open import hash_pipeline, open_pipeline
from mcld.sampling.placement import explain_memory
from mcld.settings import Settings, load_settings


@pytest.fixture
def files(dataset: DatasetLayout, pipeline: MCLDPipeline, tmp_path: Path) -> dict:
    """A test pair and a pipeline folder, as arguments of `PictureRequest`."""
    pipeline.save_pretrained(tmp_path / "pipeline")
    source, target = (Path(name).stem for name in dataset.pairs("test")[0])
    return {
        "source": dataset.image("test", source),
        "pose": dataset.densepose("test", target),
        "out": tmp_path / "out" / "picture.png",
        "weights": tmp_path / "pipeline",
    }


def open_engine(request: PictureRequest, settings: Settings) -> Engine:
    if resolve_engine(request, settings) == OnnxEngine.name:
        return OnnxEngine(settings.sample)
    return TorchEngine(request, settings)


def run(files: dict, *overrides: str) -> tuple[list[str], list[tuple[int, int]]]:
    said: list[str] = []
    steps: list[tuple[int, int]] = []
    settings = load_settings(None, ["sample.num_inference_steps=2", *overrides])
    given = {**files}
    source = given.pop("source")
    sources = source if isinstance(source, tuple) else (source,)
    request = PictureRequest(sources, **given, seed=settings.sample.seed)
    sample_picture(
        request,
        settings,
        engine=open_engine(request, settings),
        say=said.append,
        on_step=lambda *step: steps.append(step),
    )
    return said, steps


def test_the_picture_has_the_sources_size_and_every_step_is_reported(files):
    _, steps = run(files)
    assert steps == [(0, 2), (1, 2), (2, 2)]
    with Image.open(files["out"]) as picture, Image.open(files["source"]) as source:
        assert picture.size == source.size
        assert picture.mode == "RGB"


def test_same_seed_same_bytes_other_seed_others(files):
    pictures = []
    for seed in (3, 3, 4):
        run(files, f"sample.seed={seed}")
        pictures.append(files["out"].read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


def test_the_noise_schedule_is_a_setting(files):
    pictures = []
    for schedule in ("linear", "scaled_linear"):
        run(files, f"scheduler.beta_schedule={schedule}")
        pictures.append(files["out"].read_bytes())
    assert pictures[0] != pictures[1]


def test_whose_proportions_a_pose_has_is_a_setting(files):
    pictures = []
    for fits in ("false", "true"):
        run({**files, "pose": Path("waving")}, f"prepare.fit_body={fits}")
        with Image.open(files["out"]) as picture:
            assert ("fit_body" in json.loads(picture.text["mcld"])) == (fits == "true")
            pictures.append(np.asarray(picture))
    assert not np.array_equal(*pictures)


def test_the_embedded_network_is_used_and_said_so_when_no_weights_are_given(files):
    said, _ = run({**files, "weights": None})
    assert any("embedded mannequin network" in line for line in said)
    assert files["out"].exists()


def test_a_source_without_a_face_is_said_to_have_none(files, dataset, tmp_path):
    back = next(p for p in dataset.image("train", "x").parent.glob("*.jpg") if "back" in p.stem)
    said, _ = run({**files, "source": back})
    assert any("No face is known" in line for line in said)


def test_of_several_photos_of_a_person_all_are_in_the_picture(files, dataset):
    stems = [name.removesuffix(".jpg") for name in dataset.names("test")]
    other = next(dataset.image("test", s) for s in stems if s != files["source"].stem)
    run(files)
    alone = np.asarray(Image.open(files["out"]))
    said, _ = run({**files, "source": (files["source"], other), "sheet": True})
    assert not [line for line in said if "other colours" in line]
    with Image.open(files["out"]) as picture:
        assert json.loads(picture.text["mcld"])["source"] == [files["source"].name, other.name]
        assert picture.size == alone.shape[1::-1]
        assert not np.array_equal(np.asarray(picture), alone)


def test_several_photos_are_each_another_and_have_each_their_map(files, dataset):
    source, pose = files["source"], files["pose"]
    with pytest.raises(InputError, match=r"--source .* is given twice"):
        run({**files, "source": (source, source)})
    stem = dataset.names("test")[1].removesuffix(".jpg")
    both = source, dataset.image("test", stem)
    with pytest.raises(InputError, match=r"1 --source-pose for 2 --source: give each photo"):
        run({**files, "source": both, "source_poses": (pose,)})
    assert not files["out"].exists()


@pytest.mark.parametrize("argument", ["source", "pose"])
def test_a_file_that_is_not_there_is_named(files, tmp_path, argument):
    with pytest.raises(InputError, match=r"nothing\.png does not exist"):
        run({**files, argument: tmp_path / "nothing.png"})


def test_a_photo_said_to_be_a_map_is_refused(files):
    with pytest.raises(InputError, match="is not an IUV map"):
        run({**files, "pose": files["source"], "pose_kind": "iuv"})
    assert not files["out"].exists()


def test_an_empty_pose_is_refused(files, tmp_path):
    Image.new("RGB", (30, 40)).save(tmp_path / "empty.png")
    with pytest.raises(InputError, match="shows nobody"):
        run({**files, "pose": tmp_path / "empty.png"})


def test_another_format_than_png_is_refused_before_any_work(files, tmp_path):
    with pytest.raises(SettingsError, match=r"name it \.png"):
        run({**files, "out": tmp_path / "picture.webp"})


@pytest.mark.parametrize("given", ["source", "pose"])
def test_what_a_picture_is_made_from_is_not_written_over(files, given, tmp_path):
    copy = tmp_path / "input.png"
    Image.open(files[given]).save(copy)
    before = copy.read_bytes()
    with pytest.raises(SettingsError, match="is what the result is made from"):
        run({**files, given: copy, "out": copy})
    of_seed = copy.rename(tmp_path / "input-1.png")
    with pytest.raises(SettingsError, match=r"input-1\.png is what the result is made from"):
        run({**files, given: of_seed, "out": copy, "count": 2})
    assert of_seed.read_bytes() == before
    of_seed.rename(copy)
    assert copy.read_bytes() == before


def test_a_place_that_cannot_be_written_is_refused_before_any_work(files, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MCLDError, match="cannot write") as raised:
        run({**files, "out": tmp_path / "file" / "picture.png", "weights": tmp_path})
    assert not isinstance(raised.value, WeightsError)  # which looking for weights would have found


def test_a_folder_without_weights_is_refused_and_nothing_written(files, tmp_path):
    with pytest.raises(WeightsError):
        run({**files, "weights": tmp_path})
    assert not files["out"].exists()


def test_several_pictures_are_those_of_their_seeds(files):
    run({**files, "count": 2}, "sample.seed=3")
    folder = files["out"].parent
    assert sorted(path.name for path in folder.iterdir()) == ["picture-3.png", "picture-4.png"]
    run(files, "sample.seed=4")
    with Image.open(files["out"]) as alone, Image.open(folder / "picture-4.png") as one_of_two:
        assert alone.tobytes() == one_of_two.tobytes()


def test_a_picture_tells_how_it_was_made_and_that_it_is_synthetic(files):
    run(files, "sample.seed=7", "sample.scheduler=euler", "sample.guidance_scale=1.5")
    with Image.open(files["out"]) as picture:
        text = picture.text
    assert "synthetic" in text["Comment"]
    record = json.loads(text["mcld"])
    assert record["source"] == files["source"].name
    assert record["pose"] == files["pose"].name
    assert record["files"] == [[p.name, hash_content(p)] for p in (files["source"], files["pose"])]
    assert str(files["source"].parent) not in str(text)
    assert record["seed"] == 7
    assert record["num_inference_steps"] == 2
    assert record["guidance_scale"] == 1.5
    assert record["scheduler"] == "EulerDiscreteScheduler"
    assert record["weights"] == hash_pipeline(load_pipeline(files["weights"]))
    assert record["version"]


def test_other_weights_have_another_hash(files, pipeline):
    before = hash_pipeline(pipeline)
    with torch.no_grad():
        next(pipeline.image_projector.parameters())[0, 0, 0] += 1
    assert hash_pipeline(pipeline) != before


def test_the_sheet_shows_source_pose_texture_and_every_result(files):
    run({**files, "sheet": True, "count": 2})
    with Image.open(files["out"].parent / "picture-sheet.png") as sheet:
        assert sheet.width / sheet.height > 3  # five tall pictures in a row


def test_attention_maps_are_probabilities_and_cost_the_picture_nothing(files):
    run(files, "sample.guidance_scale=2")
    plain = Image.open(files["out"]).tobytes()
    run({**files, "attention_maps": True}, "sample.guidance_scale=2")
    assert Image.open(files["out"]).tobytes() == plain
    folder = files["out"].parent
    assert (folder / "picture-attention.png").exists()
    with np.load(folder / "picture-attention.npz") as maps:
        by_kind = {kind: [k for k in maps if k.startswith(kind)] for kind in KINDS}
        assert all(by_kind.values())
        for key in by_kind["aggregated"] + by_kind["face"]:
            np.testing.assert_allclose(maps[key].sum(axis=-1), 1, atol=1e-5)
        for key in by_kind["reference"]:
            assert (maps[key] > 0).all()
            assert (maps[key].sum(axis=-1) < 1).all()  # the rest is at the picture itself


KINDS = ("reference", "aggregated", "face")


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_an_attention_sheet_of_any_format_tells_how_it_was_made(files, kind):
    run({**files, "attention_maps": True, "attention_format": kind}, "sample.seed=7")
    folder = files["out"].parent
    assert {path.name for path in folder.iterdir()} == {
        *("picture.png", f"picture-attention.{kind}", "picture-attention.npz")
    }
    sheet = folder / f"picture-attention.{kind}"
    if kind == "png":
        with Image.open(sheet) as picture:
            told = " ".join(picture.text.values())
    else:
        told = sheet.read_bytes().decode("latin-1")
    assert "synthetic image" in told
    assert '"seed": 7' in told


def test_the_same_run_writes_the_same_attention_sheet(files):
    for kind in ("pdf", "svg"):
        request = {**files, "attention_maps": True, "attention_format": kind}
        sheet = files["out"].with_name(f"picture-attention.{kind}")
        run(request)
        before = sheet.read_bytes()
        run(request)
        assert sheet.read_bytes() == before


def test_a_device_that_is_not_there_is_named(files):
    with pytest.raises(SettingsError) as raised:
        run(files, "sample.device=cuda:99")
    assert str(raised.value).startswith("sample.device=cuda:99 cannot be used here")
    assert "http" not in str(raised.value)
    assert not files["out"].exists()


MADE_FOR = (
    "It was made for 256x176, num_inference_steps=1, guidance_scale=1: with other values its"
    " pictures are worse."
)


@pytest.mark.parametrize(
    ("overrides", "warned"),
    [
        ([], False),
        (["sample.height=256", "sample.width=176", "sample.num_inference_steps=1"], False),
        (["sample.num_inference_steps=2"], True),
        (["sample.guidance_scale=2"], True),
        (["sample.height=512"], True),
    ],
)
def test_the_embedded_network_says_when_it_is_sampled_otherwise_than_saved(overrides, warned):
    said: list[str] = []
    open_pipeline(None, load_settings(None, overrides), torch.device("cpu"), said.append)
    assert said[0].startswith("Using the embedded mannequin network;")
    assert said[1:] == warned * [MADE_FOR]


def test_nothing_is_said_of_weights_that_were_given(files):
    said, _ = run(files, "sample.guidance_scale=2")
    assert said == []


@pytest.mark.parametrize("name", ["dpm++", "unipc", "euler"])
def test_every_scheduler_comes_to_nearly_the_same_picture_in_enough_steps(files, name):
    """They solve one equation."""
    pictures = []
    for scheduler in ("ddim", name):
        run(
            {**files, "weights": None},
            "sample.num_inference_steps=40",
            f"sample.scheduler={scheduler}",
        )
        with Image.open(files["out"]) as picture:
            pictures.append(np.asarray(picture).astype(float))
    error = np.mean((pictures[0] - pictures[1]) ** 2)
    assert 10 * np.log10(255**2 / max(error, 1e-9)) > 25


def test_half_precision_is_close_to_full(files):
    pictures = []
    for dtype in ("float32", "bfloat16"):
        run({**files, "weights": None}, f"sample.dtype={dtype}")
        with Image.open(files["out"]) as picture:
            pictures.append(np.asarray(picture).astype(float))
    error = np.mean((pictures[0] - pictures[1]) ** 2)
    assert error > 0  # or the dtype was not heard of
    assert 10 * np.log10(255**2 / error) > 35


def test_running_out_of_memory_says_what_to_lower(files, pipeline):
    asked = load_settings(None, []).sample
    with (
        pytest.raises(
            MCLDError,
            match=r"memory: lower sample\.batch_size, 8, or lower --size, 64x48, or give",
        ),
        explain_memory(asked, pipeline.resolve_options(), torch.device("cpu"), 8),
    ):
        raise torch.OutOfMemoryError


def test_fast_takes_few_steps_only_of_weights_that_want_more(files, pipeline, tmp_path):
    fast = "sample.fast=true", "sample.num_inference_steps=null"
    run(files, "sample.fast=true", "sample.num_inference_steps=20", "sample.scheduler=euler")
    with Image.open(files["out"]) as picture:
        asked = json.loads(picture.text["mcld"])
    assert (asked["num_inference_steps"], asked["scheduler"]) == (10, "UniPCMultistepScheduler")
    run({**files, "weights": None}, *fast)
    with Image.open(files["out"]) as picture:
        own = json.loads(picture.text["mcld"])
    assert (own["num_inference_steps"], own["scheduler"]) == (1, "DDIMScheduler")
    pipeline.register_to_config(num_inference_steps=20)
    pipeline.save_pretrained(tmp_path / "many")
    run({**files, "weights": tmp_path / "many"}, *fast)
    with Image.open(files["out"]) as picture:
        few = json.loads(picture.text["mcld"])
    assert (few["num_inference_steps"], few["scheduler"]) == (10, "UniPCMultistepScheduler")


def test_low_memory_is_refused_where_there_is_none_to_spare(files):
    with pytest.raises(SettingsError, match="runs on the CPU"):
        run(files, "sample.low_memory=true", "sample.device=cpu")
