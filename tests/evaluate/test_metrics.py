"""The metrics are those of the reference implementations, on random and on real pictures."""

from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch.nn import functional
from torchmetrics.functional.image import lpips as lpip
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
from torchvision.models import inception_v3, vgg16

from mcld.errors import WeightsError
from mcld.evaluate.fid import FEATURES, FeatureSums, Inception, frechet_distance
from mcld.evaluate.metrics import psnr, ssim, ssim_256
from mcld.evaluate.networks import LPIPS, find_torchvision_file
from mcld.mannequin.world import identity, pose, render
from mcld.networks.names import TORCHVISION
from mcld.settings import Settings, load_settings


def in_folder(pretrained: Path) -> Settings:
    return load_settings(overrides=[f"sample.pretrained={pretrained}"])


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


def torchmetrics_lpips(networks: Path, home: Path) -> LearnedPerceptualImagePatchSimilarity:
    """LPIPS of torchmetrics, for pictures in 0..1, which finds our AlexNet in torch's `home`."""
    checkpoint = home / "hub" / "checkpoints" / TORCHVISION["alexnet"]
    checkpoint.parent.mkdir(parents=True)
    copyfile(networks / checkpoint.name, checkpoint)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(home))
        return LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)


def test_lpips_is_that_of_torchmetrics_on_the_same_backbone_and_nothing_is_printed(
    networks, real, tmp_path, capfd
):
    ours = LPIPS(find_torchvision_file("alexnet", in_folder(networks)))
    assert capfd.readouterr() == ("", "")
    theirs = torchmetrics_lpips(networks, tmp_path)
    expected = torch.stack([theirs(real[k : k + 1], real[k + 3 : k + 4]) for k in range(3)])
    assert (expected > 1e-3).all()
    torch.testing.assert_close(ours(real[:3], real[3:]), expected.detach(), atol=1e-5, rtol=0)


def test_lpips_on_vgg_is_that_of_torchmetrics_on_the_same_backbone(real, tmp_path, capfd):
    features = vgg16(weights=None).features.eval()
    file = tmp_path / TORCHVISION["vgg16"]
    torch.save({f"features.{key}": tensor for key, tensor in features.state_dict().items()}, file)
    ours = LPIPS(find_torchvision_file("vgg16", in_folder(tmp_path)), "vgg")
    assert capfd.readouterr() == ("", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lpip, "_get_tv_model_features", lambda *_: features)
        theirs = lpip._LPIPS(net="vgg")
    with torch.no_grad():
        expected = theirs(real[:2], real[2:4], normalize=True).flatten()
    assert (expected > 1e-3).all()
    torch.testing.assert_close(ours(real[:2], real[2:4]), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_on_a_file_of_another_network_is_refused(networks, net):
    with pytest.raises(WeightsError, match="is no file of this network"):
        LPIPS(networks / TORCHVISION["inception"], net)


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
    ours = Inception(find_torchvision_file("inception", in_folder(networks)))(real[:2])
    torch.testing.assert_close(ours, pooled[0], atol=1e-5, rtol=1e-4)


@pytest.fixture
def features() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    spread = random.normal(size=(8, 8))
    return random.normal(size=(40, 8)), random.normal(size=(30, 8)) @ spread


def sum_features(features: np.ndarray) -> FeatureSums:
    sums = FeatureSums.zeros(features.shape[1], torch.device("cpu"))
    for k in range(0, len(features), 10):  # in parts, as it is used
        sums.add(torch.from_numpy(features[k : k + 10]))
    return sums


def test_the_frechet_distance_is_that_of_scipys_square_root_and_of_torchmetrics(features):
    class Identity(torch.nn.Identity):
        num_features = 8

    training, generated = features
    ours = frechet_distance(sum_features(training), sum_features(generated))
    a, b = np.cov(training, rowvar=False), np.cov(generated, rowvar=False)
    gap = training.mean(axis=0) - generated.mean(axis=0)
    expected = gap @ gap + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert ours == pytest.approx(expected, rel=1e-6)
    theirs = FrechetInceptionDistance(Identity())
    theirs.update(torch.from_numpy(training), real=True)
    theirs.update(torch.from_numpy(generated), real=False)
    assert ours == pytest.approx(theirs.compute().item(), rel=1e-9)


def test_the_frechet_distance_of_fewer_pictures_than_features_is_that_of_torchmetrics(real):
    """Where covariances are singular, and the roots of their eigenvalues are not exact."""

    class Pixels(torch.nn.Module):
        num_features = 192

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return functional.adaptive_avg_pool2d(pictures, 8).flatten(1)

    theirs = FrechetInceptionDistance(Pixels())
    sums = []
    for pictures, training in ((real[:3], True), (real[3:], False)):
        theirs.update(pictures, real=training)
        sums.append(FeatureSums.zeros(192, torch.device("cpu")))
        sums[-1].add(Pixels()(pictures))
    expected = theirs.compute().item()
    assert frechet_distance(*sums) == pytest.approx(expected, rel=1e-6)
    rows = Pixels()(real[3:]).numpy()
    assert frechet_distance(*sums, rows) == pytest.approx(expected, rel=1e-6)


def test_the_sums_that_an_earlier_version_kept_are_read(tmp_path):
    products = np.random.default_rng(0).normal(size=(FEATURES, FEATURES))
    np.savez(tmp_path / "kept.npz", total=products[0], products=products, count=7, enlarged=2)
    sums = FeatureSums.read(tmp_path / "kept.npz", 7)
    assert sums is not None
    assert (sums.count, sums.enlarged) == (7, 2)
    np.testing.assert_array_equal(sums.total, products[0])
    np.testing.assert_array_equal(sums.products, products)


def test_a_file_of_another_network_or_none_is_named(networks, tmp_path):
    with pytest.raises(WeightsError, match="mcld weights download inception"):
        find_torchvision_file("inception", in_folder(tmp_path))
    with pytest.raises(WeightsError, match="is no file of this network"):
        Inception(networks / TORCHVISION["alexnet"])
