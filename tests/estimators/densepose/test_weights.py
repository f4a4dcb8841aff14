"""DensePose's published file: read without running code from it, or refused in one line."""

import os
import pickle
import struct
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from mcld.errors import WeightsError
from mcld.estimators.densepose.pickle_file import read_pickle
from mcld.estimators.densepose.weights import load_network, read_weights
from mcld.machine.tensor_files import write_tensors
from tests.golden.densepose.weights import make_weights, read_shapes

SMALL = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float16([0.5])}


def published(model: dict, **others: object) -> dict:
    """As detectron2's model zoo has weights."""
    return {"model": model, "__author__": "Detectron2 Model Zoo", **others}


def write(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.fixture(scope="module")
def model() -> dict[str, np.ndarray]:
    return {key: tensor.numpy() for key, tensor in make_weights(seed=2).items()}


@pytest.fixture(scope="module")
def file(model, tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("weights") / "model.pkl", published(model))


def test_the_published_file_is_read_to_the_bit(file, model):
    weights = read_weights(file)
    assert weights.keys() == model.keys() == read_shapes().keys()
    assert all(np.array_equal(weights[key], model[key]) for key in model)


def test_constants_of_published_files_are_left_out_and_statistics_may_be_missing(model, tmp_path):
    others = {"pixel_mean": np.zeros((3, 1, 1), np.float32)}
    others["proposal_generator.anchor_generator.cell_anchors.0"] = np.zeros((3, 4), np.float32)
    some = {key: a for key, a in model.items() if "running" not in key}
    weights = read_weights(write(tmp_path / "model.pkl", published({**some, **others})))
    assert weights.keys() == model.keys()
    norm = "backbone.bottom_up.stem.conv1.norm.running_"
    assert weights[f"{norm}mean"].abs().max() == 0
    assert weights[f"{norm}var"].eq(1).all()


def test_converted_weights_make_the_same_network(file, model, tmp_path):
    write_tensors(tmp_path / "model.safetensors", read_weights(file))
    one, other = load_network(file), load_network(tmp_path / "model.safetensors")
    for key, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[key]), key


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_is_read(protocol, tmp_path):
    found = read_pickle(write(tmp_path / "model.pkl", published(SMALL), protocol))
    assert found.keys() == SMALL.keys()
    for name, array in SMALL.items():
        assert np.array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize("protocol", [2, 3])  # later ones count the bytes of the names
def test_names_of_older_numpy_are_read(protocol, tmp_path):
    path = write(tmp_path / "model.pkl", published(SMALL), protocol)
    path.write_bytes(path.read_bytes().replace(b"numpy._core", b"numpy.core"))
    assert np.array_equal(read_pickle(path)["a"], SMALL["a"])


def test_arrays_in_the_order_of_fortran_and_big_endian_are_read(tmp_path):
    odd = np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3))
    found = read_pickle(write(tmp_path / "model.pkl", published(OrderedDict(a=odd))))
    assert np.array_equal(found["a"], odd)
    torch.from_numpy(found["a"]).add_(1)


class Runs:
    """Runs a command when it is unpickled the usual way."""

    def __init__(self, call: object, *values: object) -> None:
        self.made = (call, values)

    def __reduce__(self):
        return self.made


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        (Runs(os.system, "touch ran"), "posix.system"),
        (Runs(eval, "open('ran', 'w')"), "builtins.eval"),
        (published({"a": Runs(print, "ran")}), "builtins.print"),
        (published({"a": torch.zeros(1)}), "torch._utils._rebuild_tensor_v2"),
        (published({"a": np.float32(1)}), "numpy._core.multiarray.scalar"),
    ],
)
def test_what_would_run_code_is_refused(content, asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=rf"model\.pkl is refused: it asks for {asked}"):
        read_pickle(write(tmp_path / "model.pkl", content))
    assert not (tmp_path / "ran").exists()


def with_memo(number: int) -> bytes:
    return b"\x80\x02}" + b"r" + struct.pack("<I", number) + b"."


@pytest.mark.parametrize(
    "data",
    [
        with_memo(0x7FFFFFFF),  # room for two thousand million memos: 34 GB
        b"\x80\x02}p99999999999\n.",
        b"\x80\x02" + b"N0" * 200_000 + b"}.",
    ],
    ids=["memo", "memo in words", "long"],
)
def test_what_would_fill_the_memory_or_never_end_is_refused(data, tmp_path):
    (tmp_path / "model.pkl").write_bytes(data)
    with pytest.raises(WeightsError, match="it is not made like a file of weights"):
        read_pickle(tmp_path / "model.pkl")


def array_of(shape: tuple, kind: str = "f4", data: bytes = b"\0\0\0\0", state: object = None):
    """What numpy would pickle of an array, but for what is given."""
    return Tampered(shape, np.dtype(kind), data, state)


class Tampered:
    def __init__(self, shape, kind, data, state) -> None:
        self.state = state or (1, shape, kind, False, data)

    def __reduce__(self):
        rebuild, values, _ = np.zeros(1, np.float32).__reduce__()
        return rebuild, values, self.state


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (array_of((10**12,)), r"shape \[1000000000000\] has 1 values"),
        (array_of((2, 2)), r"shape \[2, 2\] has 1 values"),
        (array_of((-1,)), "damaged"),
        (array_of((1.5,)), "damaged"),
        (array_of((1,), data=b"\0\0\0"), "damaged"),
        (array_of((1,), state=(1, 2)), "damaged"),
        (array_of((1,), state=(1, (1,), "f4", False, b"\0\0\0\0")), "damaged"),
        (np.array([None]), "arrays of type 'O8'"),
        (np.array(["text"]), "arrays of type 'U4'"),
        (np.array([1.0]), "arrays of type 'f8'"),
    ],
)
def test_arrays_that_are_none_are_refused(array, reason, tmp_path):
    with pytest.raises(WeightsError, match=rf"model\.pkl .*{reason}"):
        read_pickle(write(tmp_path / "model.pkl", published({"a": array})))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([1, 2], "holds no `model`"),
        ({"blobs": SMALL}, "holds no `model`"),
        (published(SMALL, matching_heuristics=True), "no names of its own"),
        (published({"a": 1.0}), "something else than arrays"),
        (published({1: SMALL["a"]}), "something else than arrays"),
    ],
)
def test_other_pickles_are_refused(content, reason, tmp_path):
    with pytest.raises(WeightsError, match=rf"model\.pkl .*{reason}"):
        read_pickle(write(tmp_path / "model.pkl", content))


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    whole = pickle.dumps(published(SMALL))
    path = tmp_path / "model.pkl"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"model\.pkl is"):
            read_pickle(path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pickletools' own, of odd texts
def test_a_damaged_file_is_refused_or_read(tmp_path):
    whole = pickle.dumps(published(SMALL), 2)
    path = tmp_path / "model.pkl"
    random = np.random.default_rng(0)
    for _ in range(2000):
        spoilt = bytearray(whole)
        for place in random.integers(0, len(whole), 3):
            spoilt[place] = random.integers(256)
        path.write_bytes(spoilt)
        with suppress(WeightsError):
            assert all(isinstance(array, np.ndarray) for array in read_pickle(path).values())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html>", "is a web page"),
        (b"version https://git-lfs", "is a Git LFS pointer"),
        (b"PK\x03\x04", "is no pickle of weights"),
    ],
)
def test_files_of_another_kind_are_named(data, reason, tmp_path):
    (tmp_path / "model.pkl").write_bytes(data)
    with pytest.raises(WeightsError, match=rf"model\.pkl {reason}"):
        read_pickle(tmp_path / "model.pkl")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"model\.pkl cannot be read: No such file"):
        read_pickle(tmp_path / "model.pkl")


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        (
            {"roi_heads.mask_head.bias": torch.zeros(3)},
            r"it has unknown roi_heads\.mask_head\.bias",
        ),
        (
            {"roi_heads.box_head.fc2.bias": torch.zeros(1024, dtype=torch.int64)},
            r"its roi_heads\.box_head\.fc2\.bias is torch\.int64",
        ),
    ],
)
def test_weights_of_another_network_are_refused(spoilt, reason, model, tmp_path):
    tensors = {key: torch.from_numpy(array) for key, array in model.items()}
    write_tensors(tmp_path / "model.safetensors", {**tensors, **spoilt})
    with pytest.raises(WeightsError, match=f"is of another network: {reason}"):
        read_weights(tmp_path / "model.safetensors")


def test_weights_that_lack_some_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"it lacks .* and 404 more"):
        read_weights(write(tmp_path / "model.pkl", published(SMALL)))
