"""DensePose as the house uses it: batches, several people, large photos, half precision."""

import numpy as np
import pytest
import torch

from mcld.dataset.pictures import read_image
from mcld.errors import MCLDError, WeightsError
from mcld.estimators.densepose.estimator import DensePose
from mcld.estimators.densepose.iuv import lay_chart, make_iuv
from mcld.estimators.densepose.transform import choose_size, normalise, resize_photo
from tests.estimators.densepose.test_golden import Golden, assert_alike
from tests.golden.densepose.weights import FOLDER


@pytest.fixture(scope="module")
def wide() -> np.ndarray:
    return read_image(FOLDER / "wide.png")


def test_photos_together_give_what_each_gives_alone_in_their_order(densepose, wide):
    photos = [wide, read_image(FOLDER / "nobody.png"), wide[:, ::-1]]
    together = densepose.estimate(photos)
    assert together[1] is None
    for photo, pose in zip(photos, together, strict=True):
        (alone,) = densepose.estimate([photo])
        assert (alone is None) == (pose is None)
        if pose and alone:
            assert_alike(pose.iuv, alone.iuv)
            assert pose.people == alone.people


def test_no_photos_give_nothing(densepose):
    assert densepose.estimate([]) == []


def test_another_person_is_taken_where_several_are_seen(densepose, weights, wide):
    (first,) = densepose.estimate([wide])
    assert first.people == 2
    taken = DensePose(weights, "cpu", 2, short=320, long=533)
    (second,) = taken.estimate([wide])
    assert second.people == 2
    boxes = Golden("wide")["detections.boxes"]
    for pose, (left, top, right, bottom) in zip((first, second), boxes, strict=True):
        rows, columns = np.nonzero(pose.iuv[..., 0])
        assert int(left) <= columns.min() <= columns.max() <= right
        assert int(top) <= rows.min() <= rows.max() <= bottom
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    taken._person = "largest"
    (largest,) = taken.estimate([wide])
    assert_alike(largest.iuv, (first, second)[areas.argmax()].iuv)
    taken._person = 3
    assert taken.estimate([wide]) == [None]


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (700, 2), (5, 5)])
def test_photos_of_the_oddest_shapes_are_read(densepose, shape):
    (pose,) = densepose.estimate([np.full((*shape, 3), 90, np.uint8)])
    assert pose is None or pose.iuv.shape == (*shape, 3)


def test_the_decoder_around_a_person_gives_what_the_whole_one_gives(densepose):
    torch.manual_seed(0)
    network = densepose.network
    features = [torch.randn(1, 256, 128 >> k, 160 >> k) for k in range(4)]
    with torch.inference_mode():
        decoded = network.dense_head.decoder(features)
        for box in ([300.3, 200.2, 330.9, 250.1], [0.0, 0.0, 90.0, 511.0], [600, 450, 640, 512]):
            roi = torch.tensor([[0.0, *box]])
            whole = network.dense_head(network.dense_head.pool(decoded, roi))
            around = network.describe_body(features, roi)
            assert (whole - around).abs().max() < 1e-3 * whole.abs().max()


def test_a_box_is_enlarged_before_labels_are_chosen():
    torch.manual_seed(0)
    maps = torch.randn(77, 112, 112)
    box, shape = [3.6, -2.5, 203.2, 150.1], (140, 180, 3)
    iuv = make_iuv(maps, box, shape)
    large = torch.nn.functional.interpolate(
        maps[None], (152, 199), mode="bilinear", align_corners=False
    )[0]
    labels = large[2:27].argmax(0) * large[:2].argmax(0)
    assert np.array_equal(iuv[:, 3:, 0], labels[:140, :177])
    assert not iuv[:, :3].any()
    u = (large[27:52].gather(0, labels[None])[0].clamp(0, 1) * 255).to(torch.uint8) * (labels > 0)
    assert np.abs(iuv[:, 3:, 1].astype(int) - u[:140, :177].numpy()).max() <= 1


def test_an_answer_is_laid_where_its_box_lies_and_cut_at_the_edge():
    chart = np.array([[[0, 9, 9], [2, 127, 127]], [[24, 9, 127], [1, 255, 127]]], np.uint8)
    iuv = lay_chart(chart, [3.9, 1.2, 6.0, 3.4], (4, 5, 3))
    assert iuv.shape == (4, 5, 3)
    assert iuv[1, 3].tolist() == [0, 0, 0]  # background has no U and V
    assert iuv[1, 4].tolist() == [2, 127, 127]
    assert iuv[2, 4].tolist() == [1, 255, 127]
    assert iuv[:, :3].max() == 0
    assert lay_chart(chart, [4.0, 3.0, 6.0, 5.0], (4, 5, 3)).any() == False  # noqa: E712


def test_half_precision_says_nearly_the_same(densepose, wide):
    network, size = densepose.network, choose_size(*wide.shape[:2], 320, 533)
    pixels = normalise([resize_photo(wide, size)], torch.device("cpu"))
    roi = torch.tensor([[0.0, 106.9, 15.1, 374.0, 150.2]])
    maps, people = [], []
    for enabled in (False, True):
        half = torch.autocast("cpu", torch.float16, enabled=enabled)  # as on a GPU
        with torch.inference_mode(), half:
            features = network.extract_features(pixels)
            people += network.detect(features, size)
            maps.append(network.describe_body(features, roi)[0])
    assert (people[0].boxes[0] - people[1].boxes[0]).abs().max() < 1
    assert (people[0].scores[0] - people[1].scores[0]).abs() < 0.01
    full, half_maps = maps
    assert (full - half_maps).abs().max() < 0.05 * full.abs().max()
    assert (full[2:27].argmax(0) == half_maps[2:27].argmax(0)).float().mean() > 0.95


def test_values_too_large_for_half_precision_are_computed_in_full(densepose, weights, wide):
    (full,) = densepose.estimate([wide])
    spoilt = DensePose(weights, "cpu", short=320, long=533)
    spoilt._half_precision = lambda: torch.autocast("cpu", torch.float16)
    layers = spoilt.network.box_head.layers
    for parameter in (layers.fc6.weight, layers.fc6.bias):
        parameter.mul_(1e4)
    layers.fc7.weight.div_(1e4)
    (again,) = spoilt.estimate([wide])
    assert_alike(again.iuv, full.iuv)


def test_proposals_too_large_for_half_precision_are_no_proposals(densepose, weights, wide):
    (full,) = densepose.estimate([wide])
    spoilt = DensePose(weights, "cpu", short=320, long=533)
    spoilt._half_precision = lambda: torch.autocast("cpu", torch.float16)
    head = spoilt.network.proposals.head
    for parameter in head.conv.parameters():
        parameter.mul_(1e6)
    for layer in (head.cls_logits, head.bbox_pred):
        layer.weight.div_(1e6)
    (again,) = spoilt.estimate([wide])
    assert_alike(again.iuv, full.iuv)


def test_weights_beyond_all_range_are_damaged(weights, wide):
    spoilt = DensePose(weights, "cpu", short=320, long=533)
    spoilt.network.box_head.layers.fc6.weight.mul_(1e30)
    spoilt.network.box_head.layers.fc7.weight.mul_(1e30)
    with pytest.raises(WeightsError, match="damaged"):
        spoilt.estimate([wide])


def test_a_device_that_is_not_there_is_named(weights):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(MCLDError, match="cuda cannot be used here"):
        DensePose(weights, "cuda")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GiB)"),
    ],
    ids=str,
)
def test_a_batch_that_the_memory_is_too_small_for_is_halved(densepose, monkeypatch, error):
    asked: list[int] = []

    def estimate_batch(photos):
        asked.append(len(photos))
        if len(photos) > 2:
            raise error
        return [photo.place for photo in photos]

    monkeypatch.setattr(densepose, "_estimate_batch", estimate_batch)
    photos = (np.zeros((9, 9, 3), np.uint8) for _ in range(13))
    assert densepose.estimate(photos) == list(range(13))
    assert asked == [8, 4, 2, 2, 4, 2, 2, 5, 2, 3, 1, 2]


@pytest.mark.parametrize(
    ("error", "shown", "line"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), MCLDError, "DensePose does not fit into"),
        (
            torch.AcceleratorError("CUDA error: launch\nCompile"),
            MCLDError,
            ".* failed on cpu: CUDA",
        ),
        (RuntimeError("HIP error: bad kernel\nSet"), MCLDError, ".* failed on cpu: HIP error"),
        (RuntimeError("shapes do not match"), RuntimeError, "shapes"),
    ],
)
def test_a_gpu_that_fails_is_told_in_one_line_and_a_fault_of_ours_is_not(
    densepose, monkeypatch, error, shown, line
):
    def fail(photos):
        raise error

    monkeypatch.setattr(densepose, "_estimate_batch", fail)
    with pytest.raises(shown, match=f"^{line}.*$"):
        densepose.estimate([np.zeros((9, 9, 3), np.uint8)])


def test_the_dense_head_runs_for_the_person_who_counts_alone(densepose, wide):
    seen: list[int] = []
    head = densepose.network.dense_head
    handle = head.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    (pose,) = densepose.estimate([wide])
    handle.remove()
    assert pose.people == 2
    assert seen == [1]
