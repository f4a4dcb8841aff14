"""Every stage of the network beside detectron2's own numbers, with the same weights and photos."""

import json
import zlib

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torchvision.ops import box_iou

from mcld.dataset.pictures import read_image
from mcld.estimators.densepose.boxes import scale_boxes
from mcld.estimators.densepose.dense import MAPS
from mcld.estimators.densepose.estimator import DensePose
from mcld.estimators.densepose.iuv import make_iuv
from mcld.estimators.densepose.transform import choose_size, normalise, resize_photo
from tests.golden.densepose.weights import FOLDER

PICTURES = ("mannequin", "photo", "wide", "nobody")
OF_PEOPLE = PICTURES[:-1]
LEVELS = (2, 3, 4, 5, 6)
ROUNDING = 2e-5
"""By how much logits differ from CPU to CPU."""


class Golden:
    """What detectron2 gave for one picture."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.file = safe_open(FOLDER / "stages.safetensors", "np")
        self.limits = json.loads(self.file.metadata()["sizes"])[name]
        self.image = read_image(FOLDER / f"{name}.png")

    def __getitem__(self, stage: str) -> np.ndarray:
        return self.file.get_tensor(f"{self.name}.{stage}")

    def measure(self, stage: str, found: torch.Tensor) -> float:
        """The largest difference over a sample of values / the largest magnitude of the stage."""
        assert list(found.shape) == self[f"{stage}.shape"].tolist()
        values = self[f"{stage}.values"]
        words = np.random.Philox(key=zlib.crc32(stage.encode())).random_raw(len(values))
        sample = found.flatten().numpy()[words % found.numel()]
        return float(np.abs(sample - values).max() / self[f"{stage}.stats"][2])


class Run:
    """The same picture through our network."""

    @torch.inference_mode()
    def __init__(self, densepose: DensePose, golden: Golden) -> None:
        self.golden, self.network = golden, densepose.network
        self.photo = golden.image.shape[:2]
        self.size = choose_size(*self.photo, *golden.limits)
        self.resized = resize_photo(golden.image, self.size)
        self.input = normalise([self.resized], torch.device("cpu"))
        self.features = self.network.extract_features(self.input)
        ((self.proposals, self.logits),) = self.network.proposals(self.features, self.size)
        (self.people,) = self.network.detect(self.features, self.size)


@pytest.fixture(scope="module", params=PICTURES)
def run(request, densepose) -> Run:
    return Run(densepose, Golden(request.param))


def test_the_input_is_equal_to_the_bit(run):
    assert zlib.crc32(run.resized.tobytes()) == int(run.golden["resized.crc32"][0])
    assert run.golden.measure("input", run.input) == 0


def test_the_features_agree(run):
    with torch.inference_mode():
        body = run.network.backbone.body(run.input)
    stages = {f"res{k + 2}": body[str(k)] for k in range(4)}
    stages |= {f"p{k}": x for k, x in zip(LEVELS, run.features, strict=True)}
    for stage, x in stages.items():
        assert run.golden.measure(stage, x) < 3e-5, stage
    for k, x in zip(LEVELS, run.features, strict=True):
        largest = run.golden[f"p{k}.stats"][2]
        means = x.mean((0, 2, 3)).numpy()
        assert np.abs(means - run.golden[f"p{k}.channels"]).max() < 3e-5 * largest


def test_the_proposals_agree(run):
    with torch.inference_mode():
        logits, deltas = run.network.proposals.head(run.features)
    for k, logit, delta in zip(LEVELS, logits, deltas, strict=True):
        assert run.golden.measure(f"objectness{k}", logit) < 1e-4
        assert run.golden.measure(f"deltas{k}", delta) < 1e-4
    wanted = torch.from_numpy(run.golden["proposals.boxes"])
    assert run.proposals.shape == wanted.shape
    overlap = box_iou(wanted, run.proposals)
    nearest = overlap.argmax(1)
    off = (run.proposals[nearest] - wanted).abs().amax(1)
    # Of neighbours whose logits are equal but for rounding, as on a plain ground, either may be the
    # one that drops the other: then one of ours lies over it. All others are there.
    gaps = torch.from_numpy(np.abs(np.subtract.outer(*[run.golden["proposals.logits"]] * 2)))
    tied = (gaps.fill_diagonal_(1) < ROUNDING).any(1)
    assert tied.float().mean() < 0.1
    assert (off[~tied] < 0.02).all()
    assert (overlap[tied].amax(1) > 0.7).all()
    found = run.logits[nearest].numpy()[off < 0.02]
    wanted_logits = run.golden["proposals.logits"][(off < 0.02).numpy()]
    np.testing.assert_allclose(found, wanted_logits, atol=1e-3)


def test_the_boxes_agree(run):
    proposals = torch.from_numpy(run.golden["proposals.boxes"])
    with torch.inference_mode():
        pooled = run.network.box_head.pool_boxes(run.features, [proposals])
        hidden = run.network.box_head.layers(pooled)
        logits, deltas = run.network.box_head(pooled)
    assert run.golden.measure("box.pooled", pooled) < 1e-4
    assert run.golden.measure("box.hidden", hidden) < 1e-4
    np.testing.assert_allclose(logits, run.golden["box.cls"], atol=1e-3)
    np.testing.assert_allclose(deltas, run.golden["box.reg"], atol=1e-3)


def test_the_same_people_are_found(run):
    boxes = scale_boxes(run.people.boxes, run.size, run.photo)
    wanted = run.golden["detections.scores"]
    np.testing.assert_allclose(run.people.scores, wanted, atol=1e-3)
    # Of people that are nearly as sure the order may differ.
    wanted_boxes = torch.from_numpy(run.golden["detections.boxes"])
    if len(wanted):
        nearest = boxes[box_iou(wanted_boxes, boxes).argmax(1)]
        np.testing.assert_allclose(nearest, wanted_boxes, atol=0.01)
        np.testing.assert_allclose(boxes[0], wanted_boxes[0], atol=0.01)
    assert (len(wanted) == 0) == (run.golden.name == "nobody")


@pytest.mark.parametrize("run", OF_PEOPLE, indirect=True)
def test_the_dense_head_agrees(run):
    head = run.network.dense_head
    roi = torch.cat([torch.zeros(1), run.people.boxes[0]])[None]
    with torch.inference_mode():
        decoded = head.decoder(run.features[:4])
        pooled = head.pool(decoded, roi)
        aspp = head.aspp(pooled)
        hidden = head.layers(aspp)
        low = torch.cat([predict(hidden) for predict in head.predictors.values()], 1)
        maps = run.network.describe_body(run.features, roi)
    stages = {"decoder": decoded, "dense.pooled": pooled, "dense.aspp": aspp, "dense.head": hidden}
    for stage, x in {**stages, "dense.low": low, "dense.maps": maps[0]}.items():
        assert run.golden.measure(stage, x) < 2e-3, stage
    largest = run.golden["decoder.stats"][2]
    channels = decoded.mean((0, 2, 3)).numpy()
    assert np.abs(channels - run.golden["decoder.channels"]).max() < 2e-3 * largest
    np.testing.assert_allclose(maps[0, :2], run.golden["dense.coarse"], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("run", OF_PEOPLE, indirect=True)
def test_the_maps_say_the_same_of_every_place(run):
    assert run.golden["best"].tolist() == [int(run.people.scores.argmax())]
    roi = torch.cat([torch.zeros(1), run.people.boxes[0]])[None]
    with torch.inference_mode():
        (maps,) = run.network.describe_body(run.features, roi)
    _, fine, u, v = torch.split(maps, list(MAPS.values()))
    labels = fine.argmax(0).numpy()
    equal = labels == run.golden["dense.labels"]
    assert equal.mean() >= 0.99
    for name, values in (("u", u), ("v", v)):
        own = np.take_along_axis(values.numpy(), labels[None], 0)[0]
        wanted = run.golden[f"dense.{name}"].astype(np.float32)
        on_body = equal & (labels > 0)
        np.testing.assert_allclose(own[on_body], wanted[on_body], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("run", ["mannequin"], indirect=True)
def test_all_that_the_last_layers_say_agrees(run):
    roi = torch.cat([torch.zeros(1), run.people.boxes[0]])[None]
    head = run.network.dense_head
    with torch.inference_mode():
        hidden = head.layers(head.aspp(head.pool(head.decoder(run.features[:4]), roi)))
        low = torch.cat([predict(hidden) for predict in head.predictors.values()], 1)[0]
    wanted = run.golden["dense.low.full"].astype(np.float32)
    assert np.abs(low.numpy() - wanted).max() < 2e-3 * np.abs(wanted).max()


@pytest.mark.parametrize("run", OF_PEOPLE, indirect=True)
def test_the_maps_make_the_same_iuv(run):
    roi = torch.cat([torch.zeros(1), run.people.boxes[0]])[None]
    with torch.inference_mode():
        (maps,) = run.network.describe_body(run.features, roi)
        box = scale_boxes(run.people.boxes[:1], run.size, run.photo)[0].tolist()
        iuv = make_iuv(maps, box, run.golden.image.shape)
    assert_alike(iuv, run.golden["iuv"])


def assert_alike(iuv: np.ndarray, wanted: np.ndarray) -> None:
    """detectron2 itself differs as much with two threads from itself with one."""
    person = (iuv[..., 0] > 0) | (wanted[..., 0] > 0)
    equal = iuv[..., 0] == wanted[..., 0]
    off = np.abs(iuv.astype(int) - wanted)[equal]
    assert equal[person].mean() >= 0.99
    assert off.max() <= 1
    assert (off > 0).any(-1).sum() <= 0.01 * person.sum()


@pytest.mark.parametrize("run", ["photo"], indirect=True)
def test_the_estimator_is_these_stages_in_a_row(run, weights):
    estimator = DensePose(weights, "cpu", short=run.golden.limits[0], long=run.golden.limits[1])
    (pose,) = estimator.estimate([run.golden.image])
    assert_alike(pose.iuv, run.golden["iuv"])


@pytest.mark.parametrize(
    ("photo", "size"),
    [((302, 604), (666, 1333)), ((604, 302), (1333, 666)), ((11, 22), (666, 1333))],
)
def test_sides_of_one_to_two_are_rounded_as_there(photo, size):
    assert choose_size(*photo) == size


def test_photos_of_every_shape_are_resized_as_there():
    golden = Golden("photo")
    image = np.asarray(golden.image)
    sizes = golden.file.get_tensor("resize.sizes")
    for (height, width, *wanted), crc in zip(
        sizes.tolist(), golden.file.get_tensor("resize.crc32").tolist(), strict=True
    ):
        rows = -(-height // image.shape[0]), -(-width // image.shape[1]), 1
        tiled = np.tile(image, rows)[:height, :width]
        size = choose_size(height, width)
        assert list(size) == wanted
        resized = resize_photo(tiled, size)
        assert zlib.crc32(resized.tobytes()) == crc, (height, width)
