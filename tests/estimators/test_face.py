from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mcld.errors import WeightsError
from mcld.estimators.face import DETECTION_SIZE, InsightFace, cut_head_region, face_pack
from mcld.estimators.head_crop import HeadCrop
from mcld.settings import PrepareSettings

U8 = NDArray[np.uint8]


def head(looks: int, *, size: int = 40, behind: bool = False, margin: int = 10) -> tuple[U8, U8]:
    """A picture of a round head: its right half is on the left. `looks` is whose it is."""
    y, x = np.mgrid[0:size, 0:size] / (size - 1) * 2 - 1
    on = x**2 + y**2 <= 1
    colours = np.random.default_rng(looks).integers(30, 226, (4, 4, 3)).astype(np.uint8)
    painted = colours.repeat(size // 4, axis=0).repeat(size // 4, axis=1)
    image = np.full((size + 2 * margin, size + 2 * margin, 3), 240, np.uint8)
    iuv = np.zeros_like(image)
    inside = np.s_[margin : margin + size, margin : margin + size]
    image[inside][on] = painted[on]
    to_side = np.abs(x) * 0.5  # 0 at the nose, 0.5 at the ear
    right = 1 - to_side if not behind else to_side
    u = np.where(x < 0, right, 1 - right)
    labels = np.where(x < 0, 23, 24)
    iuv[inside] = np.where(
        on[..., None], np.stack([labels, u * 255, (0.5 - 0.4 * y) * 255], axis=-1), 0
    )
    return image, iuv


def likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def embedded(image: U8, iuv: U8) -> NDArray[np.float32]:
    face = HeadCrop().embed(image, iuv)
    assert face is not None
    return face


def test_an_embedding_is_512_numbers_of_unit_size() -> None:
    face = embedded(*head(1))
    assert face.shape == (512,)
    assert face.dtype == np.float32
    assert np.mean(face**2) == pytest.approx(1, abs=1e-4)


def test_one_person_is_alike_at_every_size_and_place() -> None:
    face = embedded(*head(1))
    for size, margin in ((24, 3), (80, 30)):
        assert likeness(face, embedded(*head(1, size=size, margin=margin))) > 0.9


def test_people_are_told_apart() -> None:
    faces = [embedded(*head(looks)) for looks in range(8)]
    for i, one in enumerate(faces):
        for other in faces[:i]:
            assert likeness(one, other) < 0.8


def test_what_is_around_the_head_does_not_matter() -> None:
    image, iuv = head(1)
    elsewhere = image.copy()
    elsewhere[iuv[..., 0] == 0] = (10, 200, 30)
    np.testing.assert_array_equal(embedded(elsewhere, iuv), embedded(image, iuv))


def test_a_back_view_has_no_face() -> None:
    assert HeadCrop().embed(*head(1, behind=True)) is None


def test_a_picture_without_a_head_has_no_face() -> None:
    image, iuv = head(1)
    iuv[..., 0] = np.minimum(iuv[..., 0], 2)
    assert HeadCrop().embed(image, iuv) is None


def test_a_tiny_head_has_no_face() -> None:
    image, iuv = head(1)
    assert HeadCrop().embed(image[::8, ::8], iuv[::8, ::8]) is None


def test_a_head_of_one_gray_has_an_embedding() -> None:
    image, iuv = head(1)
    image[:] = 118
    assert np.isfinite(embedded(image, iuv)).all()


def detector(
    path: Path, red: float, size: tuple[int, int] = (DETECTION_SIZE, DETECTION_SIZE)
) -> None:
    """An SCRFD in miniature: a face wherever an 8x8 cell of the 640x640 picture is this red.

    Like the real one it answers with scores, boxes and five landmarks at strides 8, 16 and 32, two
    anchors a cell; only stride 8 ever fires. A face is 64 pixels wide around its cell.
    """
    nodes, outputs, constants = [], [], []

    def constant(name: str, value: NDArray[np.generic]) -> str:
        constants.append(numpy_helper.from_array(value, name))
        return name

    def node(kind: str, *inputs: str, out: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    # Mean of each cell: RGB scaled to about -1..1, as insightface feeds it.
    cells = node("AveragePool", "picture", out="cells", kernel_shape=[8, 8], strides=[8, 8])
    shape = (1, 3, 1, 1)
    wanted = constant("wanted", np.array([red, -1, -1], np.float32).reshape(shape))
    away = node("Abs", node("Sub", cells, wanted, out="off"), out="away")
    worst = node("ReduceMax", away, constant("axis", np.array([1])), out="worst", keepdims=1)
    fires = node("Less", worst, constant("near", np.float32(0.1)), out="fires")
    score = node("Cast", fires, out="score", to=TensorProto.FLOAT)
    column = node("Reshape", score, constant("column", np.array([-1, 1])), out="flat")
    for index, stride in enumerate((8, 16, 32)):
        anchors = 2 * (size[0] // stride) * (size[1] // stride)
        if stride == 8:
            first = node("Mul", column, constant("strength", np.float32(0.9)), out="first")
            both = node(
                "Concat",
                first,
                constant("none", np.zeros((anchors // 2, 1), np.float32)),
                out="both",
                axis=1,
            )
            node("Reshape", both, constant("column2", np.array([-1, 1])), out=f"score_{stride}")
        else:
            node(
                "Identity",
                constant(f"zero_{stride}", np.zeros((anchors, 1), np.float32)),
                out=f"score_{stride}",
            )
        outputs.append((0, index, f"score_{stride}", [anchors, 1]))
        box = np.full((anchors, 4), 32 / stride, np.float32)
        node("Identity", constant(f"b_{stride}", box), out=f"box_{stride}")
        outputs.append((1, index, f"box_{stride}", [anchors, 4]))
        points = np.array([-12, -12, 12, -12, 0, 0, -9, 12, 9, 12], np.float32) / stride
        node(
            "Identity",
            constant(f"p_{stride}", np.tile(points, (anchors, 1))),
            out=f"points_{stride}",
        )
        outputs.append((2, index, f"points_{stride}", [anchors, 10]))
    save(
        path,
        nodes,
        constants,
        ["picture", [1, 3, None, None]],
        [(name, size) for _, _, name, size in sorted(outputs)],
    )


def recogniser(path: Path) -> None:
    """An ArcFace in miniature: 512 fixed mixtures of an aligned 112x112 face's mean colours."""
    mix = np.random.default_rng(0).standard_normal((3 * 49, 512)).astype(np.float32)
    nodes = [
        helper.make_node(
            "AveragePool", ["face"], ["small"], kernel_shape=[16, 16], strides=[16, 16]
        ),
        helper.make_node("Reshape", ["small", "row"], ["flat"]),
        helper.make_node("MatMul", ["flat", "mix"], ["embedding"]),
    ]
    constants = [
        numpy_helper.from_array(mix, "mix"),
        numpy_helper.from_array(np.array([-1, 3 * 49]), "row"),
    ]
    save(path, nodes, constants, ["face", [None, 3, 112, 112]], [("embedding", [None, 512])])


def save(path: Path, nodes: list, constants: list, given: list, outputs: list) -> None:
    def tensor(name: str, shape: list) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes, "miniature", [tensor(*given)], [tensor(*o) for o in outputs], constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


@pytest.fixture(scope="module")
def insightface_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a face pack of two small networks."""
    root = tmp_path_factory.mktemp("insightface")
    detector(root / "models" / "small" / "det.onnx", red=0.99)
    recogniser(root / "models" / "small" / "rec.onnx")
    return root


@pytest.fixture(scope="module")
def arcface(insightface_root: Path) -> InsightFace:
    return InsightFace(PrepareSettings(insightface_root=insightface_root), "small", "cpu")


RED = (255, 0, 0)


def person(size: int, face: int, left: int = 100, seed: int = 0) -> tuple[U8, U8]:
    """A grey picture with a red face `face` pixels wide inside a larger head, and its IUV map."""
    image = np.full((size, size, 3), 128, np.uint8)
    iuv = np.zeros_like(image)
    speckle = np.random.default_rng(seed).integers(0, 3, (size, size, 1), np.uint8) * 60
    image[:50] += speckle[:50]
    image[left : left + face, left : left + face] = RED
    margin = face // 2
    iuv[left - margin : left + face + margin, left - margin : left + face + margin] = (23, 9, 9)
    return image, iuv


def test_a_face_is_found_and_embedded_through_insightface(arcface: InsightFace) -> None:
    image, iuv = person(640, 16)
    face = arcface.embed(image, iuv)
    assert face is not None
    assert face.shape == (512,)
    assert face.dtype == np.float32
    np.testing.assert_array_equal(face, arcface.embed(image, np.zeros_like(iuv)))


def test_a_face_too_small_for_the_whole_picture_is_found_in_the_head(arcface: InsightFace) -> None:
    image, iuv = person(2000, 14, left=700)
    assert arcface.embed(image, np.zeros_like(iuv)) is None
    assert arcface.embed(image, iuv) is not None


def test_a_picture_without_a_face_has_no_embedding(arcface: InsightFace) -> None:
    image, iuv = person(640, 16)
    image[(image == RED).all(-1)] = 128
    assert arcface.embed(image, iuv) is None


def test_the_head_region_is_the_head_enlarged_and_centred() -> None:
    image, iuv = person(400, 20)
    region = cut_head_region(image, iuv)
    assert region is not None
    assert region.shape == (DETECTION_SIZE, DETECTION_SIZE, 3)
    red = (region[..., 0] > 200) & (region[..., 1] < 50)
    assert np.abs(np.argwhere(red).mean(axis=0) - DETECTION_SIZE / 2).max() < 10
    assert 0.2 < red.mean() ** 0.5 < 0.3
    assert cut_head_region(image, np.zeros_like(iuv)) is None


def test_a_pack_in_a_folder_of_its_own_name_is_found(insightface_root: Path) -> None:
    nested = insightface_root / "models" / "nested"
    recogniser(nested / "nested" / "rec.onnx")
    assert (
        face_pack(PrepareSettings(insightface_root=insightface_root), "nested") == nested / "nested"
    )


def test_a_missing_or_damaged_pack_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"antelopev2 is missing in .*: mcld weights download"):
        InsightFace(PrepareSettings(insightface_root=tmp_path), "antelopev2", "cpu")
    damaged = tmp_path / "models" / "antelopev2" / "det.onnx"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"no network")
    with pytest.raises(WeightsError, match="the face pack cannot be used"):
        InsightFace(PrepareSettings(insightface_root=tmp_path), "antelopev2", "cpu")


class Found:
    """A face as insightface finds it."""

    def __init__(self, box: tuple[int, int, int, int], looks: float) -> None:
        self.bbox = np.array([*box, 1.0])
        self.embedding = np.full(512, looks, np.float32)


@pytest.mark.parametrize(
    ("faces", "looks"),
    [
        ([Found((0, 0, 50, 50), 1)], 1),
        ([Found((0, 0, 50, 50), 1), Found((70, 12, 85, 30), 2)], 2),
        ([Found((72, 14, 80, 24), 1), Found((70, 12, 85, 30), 2)], 2),
        ([Found((0, 0, 20, 20), 1), Found((0, 0, 50, 50), 2)], 2),
    ],
)
def test_of_several_faces_that_in_the_head_counts_and_else_the_largest(faces, looks) -> None:
    embedder = InsightFace.__new__(InsightFace)
    embedder._find = lambda image: faces
    iuv = np.zeros((100, 100, 3), np.uint8)
    iuv[10:40, 65:90] = 23, 100, 100
    face = embedder.embed(np.zeros_like(iuv), iuv)
    assert face is not None
    assert face[0] == looks
