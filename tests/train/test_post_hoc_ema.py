"""Post-hoc EMA: the equations, the snapshots of a run, and what is averaged from them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from scipy.integrate import quad

from mcld.errors import MCLDError, SettingsError, StoppedError, WeightsError
from mcld.networks.folders import load_pipeline
from mcld.settings import Settings
from mcld.train import checkpoint
from mcld.train.average import average_snapshots, profile_errors
from mcld.train.loop import train
from mcld.train.plan import check_run
from mcld.train.post_hoc_ema import decay, fit_profile, gamma_of_width, inner_product
from mcld.train.report import TrainReport
from mcld.train.snapshots import Snapshot, check_average, find_snapshots, name_snapshot
from tests.conftest import FinishedRun
from tests.train.runs import assert_equal, run, weights, with_train

BATCH = 4
STEPS = 40


def track(width: float, steps: int) -> np.ndarray:
    """The weight of each step in the average after the last: what later steps leave of it."""
    gamma = gamma_of_width(width)
    left = np.array([decay(gamma, step * BATCH, BATCH) for step in range(1, steps + 1)])
    return (1 - left) * np.append(np.cumprod(left[:0:-1])[::-1], 1)


def snapshots_at(times: int, widths: tuple[float, ...] = (0.05, 0.1)) -> list[Snapshot]:
    """As many as are told, evenly spaced, of which there are no files."""
    each = 16_000 // times
    return [Snapshot(k * each, w, Path()) for k in range(1, times + 1) for w in widths]


@pytest.mark.parametrize(("width", "gamma"), [(0.05, 16.97), (0.10, 6.94)])
def test_the_papers_widths_have_the_papers_exponents(width, gamma):
    assert gamma_of_width(width) == pytest.approx(gamma, abs=5e-3)


@pytest.mark.parametrize("width", [0.01, 0.03, 0.05, 0.1, 0.2, 0.28])
def test_the_steps_weights_sum_to_one_and_spread_as_wide_as_is_asked_for(width):
    steps = 20_000
    tracked, time = track(width, steps), (np.arange(steps) + 0.5) / steps
    assert tracked.sum() == pytest.approx(1, abs=1e-12)
    mean = tracked @ time
    assert np.sqrt(tracked @ (time - mean) ** 2) == pytest.approx(width, abs=1e-6)
    gamma = gamma_of_width(width)
    shares = np.diff(np.linspace(0, 1, steps + 1) ** (gamma + 1))
    np.testing.assert_allclose(tracked, shares, atol=1e-12)


def test_a_step_leaves_of_an_average_what_the_paper_says():
    for t in (1, 2, 1000):
        assert decay(6.94, t * BATCH, BATCH) == pytest.approx((1 - 1 / t) ** (6.94 + 1))
    assert decay(6.94, BATCH, BATCH) == 0


def test_inner_products_are_the_integrals_of_the_profiles_products():
    def profile(tau: float, t: float, gamma: float) -> float:
        return (gamma + 1) * tau**gamma / t ** (gamma + 1)

    for a in ((1.0, 6.9), (0.3, 17.0), (0.7, 0.3)):
        for b in ((1.0, 6.9), (0.5, 17.0)):
            until = min(a[0], b[0])
            integral = quad(lambda tau, a=a, b=b: profile(tau, *a) * profile(tau, *b), 0, until)[0]
            assert inner_product(*a, *b) == pytest.approx(integral, rel=1e-8)


@pytest.mark.parametrize("width", [0.03, 0.07, 0.15, 0.25])
def test_the_error_told_is_that_of_the_profile_and_falls_with_more_snapshots(width):
    steps, errors = 4000, []
    wanted = track(width, steps)
    for times in (4, 8, 16, 32):
        snapshots = snapshots_at(times)
        x, error = fit_profile(snapshots, width)
        assert x.sum() == pytest.approx(1)
        profiles = np.zeros((len(snapshots), steps))
        for row, snapshot in enumerate(snapshots):
            until = snapshot.images // BATCH
            profiles[row, :until] = track(snapshot.width, until)
        real = np.linalg.norm(x @ profiles - wanted) / np.linalg.norm(wanted)
        assert error == pytest.approx(real, rel=1e-2, abs=1e-4)
        for row in range(len(x) - 1):  # no others that sum to 1 come closer
            other = x.copy()
            other[[row, -1]] += 0.05, -0.05
            assert np.linalg.norm(other @ profiles - wanted) > np.linalg.norm(x @ profiles - wanted)
        errors.append(error)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.04


def test_a_width_that_was_tracked_is_taken_as_it_is():
    x, error = fit_profile(snapshots_at(8), 0.1)
    np.testing.assert_allclose(x, [0] * 15 + [1], atol=1e-9)
    assert error < 1e-6


@pytest.fixture(scope="module")
def tracked(finished: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A run that is finished, of forty steps, each with a checkpoint; snapshots of three widths."""
    return taken(
        with_train(finished.settings, start_from=finished.start),
        output=tmp_path_factory.mktemp("tracked") / "run",
        images=STEPS * BATCH,
        learning_rate=5e-3,
        post_hoc_ema=(0.05, 0.07, 0.1),
        snapshot_every=20,
        checkpoint_every=BATCH,
        keep=STEPS,
    )


def taken(settings: Settings, **changes) -> Settings:
    """The settings of a run that has ended."""
    changed = with_train(settings, **changes)
    run(changed)
    return changed


def averaged(settings: Settings, snapshots: list[Snapshot], *widths: float) -> list[Path]:
    """The pipeline folders of averages of a run."""
    output = settings.train.output
    targets = {width: output / "averages" / str(width) for width in widths}
    shutil.rmtree(output / "averages", ignore_errors=True)
    average_snapshots(output, snapshots, targets, lambda *_: None)
    return list(targets.values())


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Between two networks."""
    return float(
        sum(((one[k].float() - other[k].float()) ** 2).sum() for k in one.keys() & other.keys())
        ** 0.5
    )


def test_snapshots_are_averages_of_all_steps_by_the_profile(tracked):
    snapshots = find_snapshots(tracked.train.output)
    assert len(snapshots) == 24
    for snapshot in (snapshots[0], snapshots[10], snapshots[-1]):
        expected = average_steps(tracked, snapshot.images // BATCH, snapshot.width)
        for key, tensor in load_file(snapshot.path).items():
            assert tensor.dtype == torch.float16
            close = {"atol": 1e-6, "rtol": 1e-3}  # of 16 bits
            torch.testing.assert_close(tensor.float(), expected[key], **close, msg=key)


def average_steps(settings: Settings, steps: int, width: float) -> dict[str, torch.Tensor]:
    """The average of a run's first steps, of what each of them left."""
    folders = checkpoint.checkpoints(settings.train.output)
    assert len(folders) == STEPS
    networks = [load_raw(folder) for folder in folders[:steps]]
    factors = track(width, steps).tolist()
    return {
        key: sum(f * network[key] for f, network in zip(factors, networks, strict=True))
        for key in networks[0]
    }


def load_raw(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint."""
    return {
        f"{file.stem}.{key}": tensor
        for file in folder.glob("*.safetensors")
        for key, tensor in load_file(file).items()
    }


def test_an_average_made_afterwards_is_the_one_tracked_at_that_width(tracked):
    snapshots = find_snapshots(tracked.train.output)
    direct, longer = (load_file(snapshot.path) for snapshot in snapshots[-2:])
    others = [snapshot for snapshot in snapshots if snapshot.width != 0.07]
    (folder,) = averaged(tracked, others, 0.07)
    made, exact = weights(folder), average_steps(tracked, STEPS, 0.07)
    # Measured: 0.0133, where 16 bits take the average that was tracked 0.0159 from the exact one,
    # and that of the width 0.1 is 0.265 away.
    assert distance(made, exact) < 1.5 * distance(direct, exact)
    assert distance(made, direct) < 0.1 * distance(longer, exact)


def test_the_pipeline_it_makes_is_whole_and_tells_how_it_came_about(tracked, finished):
    short, wide = averaged(tracked, find_snapshots(tracked.train.output), 0.04, 0.12)
    pipeline, start = load_pipeline(short), load_pipeline(finished.start)
    for part in ("vae", "image_encoder"):
        assert_equal(pipeline.components[part].state_dict(), start.components[part].state_dict())
    assert pipeline.config.face_embedder == start.config.face_embedder
    assert distance(weights(short), weights(wide)) > 0.1
    record = yaml.safe_load((wide / "training.yaml").read_text())
    assert record["post_hoc_ema"]["width"] == 0.12
    assert record["post_hoc_ema"]["images"] == STEPS * BATCH
    assert record["settings"]["train"]["images"] == STEPS * BATCH


def test_the_weights_that_are_not_trained_and_the_precision_are_the_runs(short):
    half = taken(
        short,
        save_dtype="float16",
        frozen=("reference_unet.",),
        post_hoc_ema=(0.05, 0.1),
        snapshot_every=BATCH,
    )
    output = half.train.output
    first, second = averaged(half, find_snapshots(output), 0.05, 0.06)
    frozen = weights(output / "start")
    for folder in (first, second):
        file = folder / "denoising_unet" / "diffusion_pytorch_model.safetensors"
        assert {tensor.dtype for tensor in load_file(file).values()} == {torch.float16}
        for key, tensor in weights(folder).items():
            if key.startswith("reference_unet."):
                assert torch.equal(tensor, frozen[key].half().float())
    snapshot = load_file(find_snapshots(output)[-2].path)
    made = weights(first)
    for key, tensor in snapshot.items():
        torch.testing.assert_close(made[key], tensor.float(), atol=1e-6, rtol=1e-3)


def test_without_the_setting_there_are_no_snapshots(finished):
    assert not (finished.output / "snapshots").exists()
    with pytest.raises(WeightsError, match=r"holds no snapshots: .* train\.post_hoc_ema="):
        check_average(finished.output, [0.07], None)


def test_broken_off_and_resumed_the_snapshots_are_the_same_to_the_byte(finished, short, tmp_path):
    def stop(report: TrainReport) -> None:
        if report.stage == "Training" and report.images == 24:
            raise KeyboardInterrupt

    options = {"images": 32, "post_hoc_ema": (0.05, 0.1), "keep": 1}
    whole = taken(short, **options, snapshot_every=BATCH, output=tmp_path / "whole")
    broken = with_train(short, **options, snapshot_every=BATCH)
    with pytest.raises(StoppedError, match="after 16 pictures"):
        train(broken, resume=False, report=stop, say=print)
    images = {snapshot.images for snapshot in find_snapshots(broken.train.output)}
    assert images == {4, 8, 12, 16, 20}
    copy = tmp_path / "copy"
    shutil.copytree(broken.train.output, copy)
    run(broken, resume=True)
    expected = {s.path.name: s.path.read_bytes() for s in find_snapshots(whole.train.output)}
    assert len(expected) == 16
    found = {s.path.name: s.path.read_bytes() for s in find_snapshots(broken.train.output)}
    assert found == expected
    # What the resumed run does not take again does not stay behind.
    run(with_train(broken, snapshot_every=8, output=copy), resume=True)
    assert {snapshot.images for snapshot in find_snapshots(copy)} == {4, 8, 12, 16, 24, 32}


def test_a_run_begins_and_goes_on_with_the_same_widths(finished, tmp_path):
    copy = finished.copy(tmp_path / "copy")
    with pytest.raises(SettingsError, match=r"train\.post_hoc_ema cannot change"):
        run(with_train(copy, images=28, post_hoc_ema=(0.05,), snapshot_every=4), resume=True)


def test_too_few_snapshots_are_told_before_the_run_and_after_it(tracked, short):
    few = with_train(short, post_hoc_ema=(0.05, 0.1), snapshot_every=7)
    with pytest.raises(SettingsError, match=r"train\.snapshot_every, 7, leaves less than 4 times"):
        check_run(few.train, processes=1, resume=False)
    snapshots = find_snapshots(tracked.train.output)[-1:]
    with pytest.raises(WeightsError, match=r"do not make the width 0\.2: .* be off by \d\d%"):
        averaged(tracked, snapshots, 0.2)
    assert not (tracked.train.output / "averages").exists()


def test_a_snapshot_that_is_damaged_of_another_network_or_not_finite_is_named(tracked, tmp_path):
    output = tmp_path / "copy"
    shutil.copytree(tracked.train.output, output, ignore=shutil.ignore_patterns("checkpoints"))
    copy = with_train(tracked, output=output)
    snapshots = find_snapshots(output)
    path = snapshots[3].path
    whole = {key: tensor.clone() for key, tensor in load_file(path).items()}
    key = "denoising_unet.conv_out.weight"

    def refused(message: str) -> None:
        with pytest.raises(MCLDError, match=message):
            averaged(copy, snapshots, 0.07)
        assert not any((output / "averages").glob("*"))

    path.write_bytes(path.read_bytes()[:-100])
    refused(f"cannot read the weights in {path}")
    path.write_bytes(b"")
    refused(f"{path} is empty")
    save_file({k: t for k, t in whole.items() if k != key}, path)
    refused(f"{path} is of another network: it lacks {key}")
    save_file({**whole, key: whole[key][:1]}, path)
    refused(f"{path} is of another network: it has {key}")
    save_file({**whole, key: whole[key] * torch.inf}, path)
    refused("the snapshots in .* is not finite")


def test_an_average_is_not_written_over_anything(tracked, dataset):
    output = tracked.train.output
    with pytest.raises(SettingsError, match="exists already: give the name of a new folder"):
        check_average(output, [0.07], output / "pipeline")
    with pytest.raises(SettingsError, match="lies among the files of the prepared dataset"):
        check_average(output, [0.07], dataset.root / "train" / "average")


def test_which_widths_are_made_well_is_listed(tracked):
    snapshots = find_snapshots(tracked.train.output)
    errors = profile_errors(snapshots, [0.02, 0.05, 0.08, 0.25])
    assert errors[0.05] < 1e-6 < errors[0.08] < 0.01 < errors[0.25] < errors[0.02]


def test_snapshots_of_more_than_a_billion_pictures_are_found_in_their_order(tmp_path):
    times = (2_000_000_000, 999_999_999, 1_000_000_000)
    for images in times:
        path = name_snapshot(tmp_path, images, 0.05)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert [snapshot.images for snapshot in find_snapshots(tmp_path)] == sorted(times)
