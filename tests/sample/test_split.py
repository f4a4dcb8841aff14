"""A whole split, in batches, processes and pieces."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.results import RESULT_SIZES
from mcld.errors import InputError, MCLDError, SettingsError
from mcld.pipeline import MCLDPipeline
from mcld.sample.request import SplitRequest
from mcld.sample.split import Pair, sample_split
from mcld.settings import load_settings


@pytest.fixture
def weights(pipeline: MCLDPipeline, tmp_path: Path) -> Path:
    pipeline.register_to_config(num_inference_steps=2, guidance_scale=2.0)
    pipeline.save_pretrained(tmp_path / "weights")
    return tmp_path / "weights"


@pytest.fixture
def own(dataset: DatasetLayout, tmp_path: Path) -> DatasetLayout:
    """A copy of the dataset that a test may break."""
    shutil.copytree(dataset.root, tmp_path / "own")
    return DatasetLayout(tmp_path / "own")


def run(request: SplitRequest, *overrides: str) -> tuple[list[str], list[tuple[int, int]]]:
    said: list[str] = []
    told: list[tuple[int, int]] = []
    sample_split(
        request,
        load_settings(None, list(overrides)),
        say=said.append,
        on_picture=lambda *count: told.append(count),
    )
    return said, told


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.glob("*/*.png"))}


def test_gathered_sources_are_of_all_pictures_but_the_target(own, weights, tmp_path):
    plain, gathered = tmp_path / "plain", tmp_path / "gathered"
    run(SplitRequest(own.root, "test", plain, weights, limit=1))
    own.set_gathered(True)
    run(SplitRequest(own.root, "test", gathered, weights, limit=1))
    assert contents(plain) != contents(gathered)
    with pytest.raises(SettingsError, match="gather was None, now True"):
        run(SplitRequest(own.root, "test", plain, weights, limit=1))
    own.set_gathered(False)
    with pytest.raises(SettingsError, match="gather was True, now None"):
        run(SplitRequest(own.root, "test", gathered, weights, limit=1))
    own.set_gathered(True)
    source, target = (Path(name).stem for name in own.pairs("test")[0])
    (other,) = {Path(name).stem for name in own.names("test")} - {source, target}
    before = contents(gathered)
    for changed, counts in ((target, False), (other, True)):
        texture = own.texture("test", changed)
        with Image.open(texture) as picture:
            pixels = np.array(picture)
        Image.fromarray(np.where(pixels > 0, 255 - pixels // 2, 0).astype(np.uint8)).save(texture)
        said, _ = run(SplitRequest(own.root, "test", gathered, weights, limit=1))
        assert any("made again" in line for line in said) == counts
        assert (contents(gathered) != before) == counts


def test_every_pair_has_a_picture_of_both_sizes(dataset, weights, tmp_path):
    request = SplitRequest(dataset.root, "test", tmp_path / "results", weights)
    _, told = run(request)
    pairs = [Pair(a[:-4], b[:-4]) for a, b in dataset.pairs("test")]
    assert told[0] == (0, len(pairs))
    assert told[-1] == (len(pairs), len(pairs))
    assert len(contents(tmp_path / "results")) == 2 * len(pairs)
    for folder, (height, width) in RESULT_SIZES.items():
        for pair in pairs:
            with Image.open(pair.result(tmp_path / "results", folder)) as picture:
                assert picture.size == (width, height)
                assert "synthetic" in picture.text["Comment"]
                assert json.loads(picture.text["mcld"])["source"] == pair.source
    beside = json.loads((tmp_path / "results" / "settings.json").read_text())
    assert beside["guidance_scale"] == 2.0


def test_another_seed_gives_every_pair_another_picture(dataset, weights, tmp_path):
    for seed in (0, 1):
        request = SplitRequest(dataset.root, "test", tmp_path / str(seed), weights, limit=2)
        run(request, f"sample.seed={seed}")
    first, second = (contents(tmp_path / str(seed)) for seed in (0, 1))
    for name, picture in first.items():
        pixels = [np.asarray(Image.open(tmp_path / s / name)) for s in ("0", "1")]
        assert not np.array_equal(*pixels), name
        assert picture != second[name]


@pytest.mark.parametrize("change", ["sample.batch_size=1", "sample.workers=1"])
def test_a_picture_depends_on_its_pair_alone(dataset, weights, tmp_path, change):
    run(SplitRequest(dataset.root, "test", tmp_path / "a", weights))
    run(SplitRequest(dataset.root, "test", tmp_path / "b", weights, limit=2), change)
    run(SplitRequest(dataset.root, "test", tmp_path / "b", weights), "sample.batch_size=3")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_nor_does_it_depend_on_the_number_of_cores(dataset, weights, tmp_path):
    before = torch.get_num_threads()
    try:
        for cores in (1, 3):
            torch.set_num_threads(cores)
            run(SplitRequest(dataset.root, "test", tmp_path / str(cores), weights))
            assert torch.get_num_threads() == cores
    finally:
        torch.set_num_threads(before)
    assert contents(tmp_path / "1") == contents(tmp_path / "3")


def test_two_processes_make_the_bytes_of_one(dataset, weights, tmp_path):
    run(SplitRequest(dataset.root, "test", tmp_path / "one", weights))
    run(SplitRequest(dataset.root, "test", tmp_path / "two", weights, limit=3))
    done = subprocess.run(
        [*command(dataset, weights, tmp_path / "two"), "--processes", "2"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert done.stdout.count("The pictures are in") == 1
    assert "3 of 6 pictures are there already" in done.stdout  # of all, not of a process's share


def command(dataset: DatasetLayout, weights: Path, save_path: Path) -> list[str]:
    options = {"--split": "test", "--dataset": dataset.root, "--save-path": save_path}
    options["--weights"] = weights
    words = [str(word) for option in options.items() for word in option]
    return [sys.executable, "-m", "mcld_cli", "sample", *words]


def test_killed_at_any_moment_it_goes_on_to_the_same_pictures(dataset, weights, tmp_path):
    slow = "sample.num_inference_steps=60"
    run(SplitRequest(dataset.root, "test", tmp_path / "whole", weights), slow)
    results = tmp_path / "killed"
    process = subprocess.Popen(
        [*command(dataset, weights, results), "--set", slow, "--set", "sample.batch_size=1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 200
    while not list(results.glob("*/[!.]*.png")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.1))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    there = list(results.glob("*/[!.]*.png"))
    assert 0 < len(there) < 2 * len(dataset.pairs("test"))
    for picture in there:
        Image.open(picture).load()  # whole
    run(SplitRequest(dataset.root, "test", results, weights), slow)
    assert contents(results) == contents(tmp_path / "whole")
    assert not list(results.rglob(".mcld-*"))


def test_what_goes_wrong_in_several_processes_is_one_line(own, weights, tmp_path):
    assert own.texture("test", own.pairs("test")[0][0][:-4]).write_bytes(b"no picture")
    words = [*command(own, weights, tmp_path / "broken"), "--processes", "2"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    said = "2 of 6 pairs could not be made"
    assert [said in line for line in done.stderr.splitlines() if "error" in line] == [True]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("sample.seed=1", "seed was 0, now 1"),
        ("sample.guidance_scale=3", "guidance_scale was 2.0, now 3.0"),
        ("sample.scheduler=unipc", "scheduler was DDIMScheduler, now UniPCMultistepScheduler"),
        ("scheduler.beta_end=0.02", r"scheduler\.beta_end was 0\.012, now 0\.02"),
    ],
)
def test_resuming_with_other_settings_is_refused_with_what_differs(
    dataset, weights, tmp_path, change, said
):
    request = SplitRequest(dataset.root, "test", tmp_path / "results", weights, limit=1)
    run(request)
    with pytest.raises(SettingsError, match=said):
        run(request, change)


def test_resuming_with_other_encoders_is_refused(dataset, pipeline, weights, tmp_path):
    run(SplitRequest(dataset.root, "test", tmp_path / "results", weights, limit=1))
    with torch.no_grad():
        next(pipeline.vae.parameters()).add_(1)
    pipeline.save_pretrained(tmp_path / "other")
    with pytest.raises(SettingsError, match="weights was"):
        run(SplitRequest(dataset.root, "test", tmp_path / "results", tmp_path / "other", limit=1))


@pytest.mark.parametrize("changed", ["image", "texture", "densepose", "face"])
def test_a_picture_is_made_again_when_what_it_was_made_from_has_changed(
    own, weights, tmp_path, changed
):
    request = SplitRequest(own.root, "test", tmp_path / "results", weights, limit=2)
    run(request)
    before = contents(tmp_path / "results")
    said, _ = run(request)
    assert not any("made again" in line for line in said)
    source, target = (Path(name).stem for name in own.pairs("test")[0])
    stem, other = (target, source) if changed == "densepose" else (source, target)
    place = getattr(own, changed)
    if changed == "face":
        np.save(place("test", stem), np.full(512, 0.1, np.float32))
    else:
        shutil.copyfile(place("test", other), place("test", stem))
    said, _ = run(request)
    assert any("made again" in line for line in said)
    after = contents(tmp_path / "results")
    made = {name for name in before if before[name] != after[name]}
    assert {name for name in before if name.endswith(f"/{source}_2_{target}.png")} <= made
    run(SplitRequest(own.root, "test", tmp_path / "anew", weights, limit=2))
    assert contents(tmp_path / "anew") == after


def test_where_backgrounds_are_kept_the_sources_map_counts_as_well(own, weights, tmp_path):
    request = SplitRequest(own.root, "test", tmp_path / "results", weights, limit=1)
    source, target = (Path(name).stem for name in own.pairs("test")[0])
    run(request, "sample.keep=background")
    corner = np.asarray(Image.open(own.image("test", source)))[2, 2].astype(int)
    (picture,) = (tmp_path / "results" / "256").iterdir()
    assert np.abs(np.asarray(Image.open(picture))[2, 2] - corner).max() < 8
    shutil.copyfile(own.densepose("test", target), own.densepose("test", source))
    said, _ = run(request, "sample.keep=background")
    assert any("made again" in line for line in said)


def test_a_picture_without_a_record_is_made_again_and_said_so(own, weights, tmp_path):
    request = SplitRequest(own.root, "test", tmp_path / "results", weights, limit=1)
    run(request)
    before = contents(tmp_path / "results")
    stripped = next((tmp_path / "results" / "256").iterdir())
    with Image.open(stripped) as picture:
        picture.load()
        picture.info.clear()
        picture.save(stripped)
    said, _ = run(request)
    assert "made again, because they do not say what they were made from: 1 of the pictures" in said
    assert contents(tmp_path / "results") == before


def test_pictures_of_unknown_settings_are_not_mixed_with(dataset, weights, tmp_path):
    (tmp_path / "results" / "256").mkdir(parents=True)
    with pytest.raises(SettingsError, match=r"no settings\.json"):
        run(SplitRequest(dataset.root, "test", tmp_path / "results", weights))


def test_a_picture_that_cannot_be_read_is_left_out_and_told_at_the_end(own, weights, tmp_path):
    bad = own.pairs("test")[0][0][:-4]
    own.texture("test", bad).write_bytes(b"no picture")
    with pytest.raises(MCLDError, match=r"2 of 6 pairs could not .* the first: .* is not a pict"):
        run(SplitRequest(own.root, "test", tmp_path / "results", weights))
    assert len(contents(tmp_path / "results")) == 2 * 4


def test_pairs_that_are_not_prepared_are_counted(own, weights, tmp_path):
    # As in training, a picture without its map is not prepared: four pairs are to or from it.
    own.densepose("test", own.pairs("test")[0][1][:-4]).unlink()
    said, _ = run(SplitRequest(own.root, "test", tmp_path / "results", weights))
    assert any("4 of 6 pairs are not prepared" in line for line in said)


def test_a_split_that_is_none_and_a_dataset_that_is_empty_are_named(dataset, weights, tmp_path):
    with pytest.raises(SettingsError, match="--split val: there are train and test"):
        run(SplitRequest(dataset.root, "val", tmp_path / "results", weights))
    with pytest.raises(InputError, match=r"test\.csv is missing"):
        run(SplitRequest(tmp_path / "none", "test", tmp_path / "results", weights))


def test_no_two_pairs_share_their_noise():
    seeds = {Pair(a, b).seed(s) for a in "xyz" for b in "xyz" for s in range(3)}
    assert len(seeds) == 27
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert np.std([seed / 2**63 for seed in seeds]) > 0.1


def test_ctrl_c_ends_in_one_line_and_leaves_nothing_half_written(dataset, weights, tmp_path):
    results = tmp_path / "stopped"
    process = subprocess.Popen(
        [*command(dataset, weights, results), "--set", "sample.num_inference_steps=400"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 200
    while not (results / "settings.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "error: interrupted"
    assert "Traceback" not in stderr
    assert not list(results.rglob(".mcld-*"))
