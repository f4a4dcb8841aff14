"""The metrics are those of the reference implementations, on random and on real pictures."""

import lpips
import numpy as np
import pytest
import torch
from accelerate import PartialState
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch.nn import functional
from torchvision.models import inception_v3

from mcld.errors import WeightsError
from mcld.evaluate.fid import FrechetDistance, Inception
from mcld.evaluate.metrics import psnr, ssim, ssim_256
from mcld.evaluate.networks import LPIPS, torchvision_file
from mcld.mannequin.world import identity, pose, render
from mcld.networks.stable_diffusion import TORCHVISION


@st.composite
def pictures(draw) -> tuple[np.ndarray, np.ndarray]:
    """Two pictures of a size: textured or flat in parts, of any contrast, alike or not."""
    height, width = draw(st.integers(52, 90)), draw(st.integers(52, 90))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    contrast = draw(st.sampled_from([3, 40, 255]))
    base = draw(st.integers(0, 255 - contrast))
    truth = base + contrast * random.random((height, width, 3)).round(draw(st.integers(0, 2)))
    if draw(st.booleans()):
        truth[: height // 2] = base
    noise = draw(st.sampled_from([1, 20, 200]))
    generated = truth + random.normal(size=truth.shape) * noise
    return tuple(p.clip(0, 255).round().astype(np.uint8) for p in (generated, truth))


@settings(deadline=None)
@given(pair=pictures())
def test_psnr_and_both_kinds_of_ssim_are_those_of_scikit_image(pair):
    generated, truth = pair
    a, b = generated / 255, truth / 255
    if not np.array_equal(generated, truth):
        assert psnr(generated, truth) == pytest.approx(
            peak_signal_noise_ratio(b, a, data_range=1), abs=1e-5
        )
    assert ssim(generated, truth) == pytest.approx(
        structural_similarity(a, b, win_size=51, data_range=1, channel_axis=-1), abs=1e-5
    )
    if np.ptp(generated):
        expected = reference_256(generated, truth)
        assert ssim_256(generated, truth) == pytest.approx(expected, abs=1e-5)


def reference_256(generated: np.ndarray, truth: np.ndarray) -> float:
    return structural_similarity(
        generated.astype(float),
        truth.astype(float),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=-1,
        data_range=float(np.ptp(generated)),
    )


@pytest.mark.parametrize("darkest", [0, 54, 56, 100])
@pytest.mark.parametrize("offset", [0, 1, 3, 10])
@pytest.mark.parametrize("level", [240, 255])
def test_ssim_256_is_exact_on_flat_bright_backgrounds_too(level, offset, darkest):
    truth = np.full((256, 176, 3), level, np.uint8)
    truth[64:192, 60:116] = np.random.default_rng(0).integers(darkest, level, (128, 56, 3))
    generated = truth - np.uint8(offset)
    generated[64, 60], generated[65, 61] = darkest, 255
    assert ssim_256(generated, truth) == pytest.approx(reference_256(generated, truth), abs=1e-5)


def test_on_people_too():
    one, other = (render(identity(0, k), pose(0, k, 0), (256, 176))[0] for k in range(2))
    assert ssim(one, other) == pytest.approx(
        structural_similarity(one / 255, other / 255, win_size=51, data_range=1, channel_axis=-1),
        abs=1e-5,
    )
    assert ssim_256(one, other) == pytest.approx(reference_256(one, other), abs=1e-5)
    assert ssim(one, one) == pytest.approx(1)
    assert psnr(one, one) == float("inf")


def test_a_grey_picture_has_no_ssim_256_rather_than_a_wrong_one():
    grey = np.full((64, 64, 3), 128, np.uint8)
    assert np.isnan(ssim_256(grey, grey))


@pytest.fixture(scope="module")
def real() -> torch.Tensor:
    """Six pictures of people, [B, 3, H, W] in 0..1."""
    images = [render(identity(1, k), pose(1, k, 0), (256, 176))[0] for k in range(6)]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def test_lpips_is_that_of_its_authors_on_the_same_backbone(networks, real):
    ours = LPIPS(torchvision_file("alexnet", networks))
    theirs = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    backbone = torch.load(networks / TORCHVISION["alexnet"])
    names = {name: name.partition(".")[2] for name in theirs.net.state_dict()}
    theirs.net.load_state_dict({k: backbone[f"features.{own}"] for k, own in names.items()})
    a, b = real[:3], real[3:]
    with torch.no_grad():
        expected = theirs(2 * a - 1, 2 * b - 1).flatten()
    assert (expected > 1e-3).all()
    torch.testing.assert_close(ours(a, b), expected, atol=1e-5, rtol=0)


def test_features_are_those_of_torchvisions_inception(networks, real):
    network = inception_v3(weights=None, init_weights=False)
    network.load_state_dict(torch.load(networks / TORCHVISION["inception"]))
    pooled: list[torch.Tensor] = []
    network.eval().avgpool.register_forward_hook(lambda _m, _i, out: pooled.append(out.flatten(1)))
    small = functional.interpolate(real[:2], (299, 299), mode="bilinear", antialias=False)
    scale = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1) / 0.5
    shift = (torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1) - 0.5) / 0.5
    with torch.no_grad():
        network(small * scale + shift)
    ours = Inception(torchvision_file("inception", networks))(real[:2])
    torch.testing.assert_close(ours, pooled[0], atol=1e-5, rtol=1e-4)


def test_the_frechet_distance_is_that_of_scipys_square_root():
    class Given(torch.nn.Module):
        num_features = 8

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features

    random = np.random.default_rng(0)
    one, other = (
        random.normal(size=(40, 8)),
        random.normal(size=(30, 8)) @ random.normal(size=(8, 8)),
    )
    state = PartialState(cpu=True)
    seen, distance = (FrechetDistance(Given(), state) for _ in range(2))
    for k in range(0, 40, 10):  # in parts, as it is used
        seen.add(torch.from_numpy(one[k : k + 10]), training=True)
    distance.refer_to(seen.training(0))
    distance.add(torch.from_numpy(other), training=False)
    a, b = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    gap = one.mean(axis=0) - other.mean(axis=0)
    expected = gap @ gap + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert distance.value() == pytest.approx(expected, rel=1e-6)


def test_a_file_of_another_network_or_none_is_named(networks, tmp_path):
    with pytest.raises(WeightsError, match="mcld weights download inception"):
        torchvision_file("inception", tmp_path)
    with pytest.raises(WeightsError, match="is no file of this network"):
        Inception(networks / TORCHVISION["alexnet"])
