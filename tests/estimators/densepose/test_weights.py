"""DensePose's published file: read without running code from it, or refused in one line."""

import os
import pickle
import struct
import tracemalloc
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

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


def read(path: Path) -> dict[str, np.ndarray]:
    return {name: array.build() for name, array in read_pickle(path).items()}


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
    found = read(write(tmp_path / "model.pkl", published(SMALL), protocol))
    assert found.keys() == SMALL.keys()
    for name, array in SMALL.items():
        assert np.array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize("protocol", [2, 3])  # later ones count the bytes of the names
def test_names_of_older_numpy_are_read(protocol, tmp_path):
    path = write(tmp_path / "model.pkl", published(SMALL), protocol)
    path.write_bytes(path.read_bytes().replace(b"numpy._core", b"numpy.core"))
    assert np.array_equal(read(path)["a"], SMALL["a"])


def test_arrays_in_the_order_of_fortran_and_big_endian_are_read(tmp_path):
    odd = np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3))
    found = read(write(tmp_path / "model.pkl", published(OrderedDict(a=odd))))
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
        (Runs(os.system, "touch ran"), r"posix\.system"),
        (Runs(eval, "open('ran', 'w')"), r"(builtins|__builtin__)\.eval"),
        (published({"a": Runs(print, "ran")}), r"(builtins|__builtin__)\.print"),
        (published({"a": torch.zeros(1)}), r"torch\._utils\._rebuild_tensor_v2"),
        (published({"a": np.float32(1)}), r"numpy\._core\.multiarray\.scalar"),
    ],
)
def test_what_would_run_code_is_refused(content, asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for protocol in range(6):
        with pytest.raises(WeightsError, match=rf"model\.pkl is refused: it asks for '{asked}'"):
            read_pickle(write(tmp_path / "model.pkl", content, protocol))
    assert not (tmp_path / "ran").exists()


NEST = b"\x80\x04})"
DTYPE = b"cnumpy\ndtype\n"


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02}r" + struct.pack("<I", 0x7FFFFFFF) + b".",  # room for 2,147,483,647 memos
        b"\x80\x02}p99999999999\n.",
        b"\x80\x02" + b"N0" * 200_000 + b"}.",
        b"\x80\x02" + b"]" * 300_000 + b"}.",
        NEST + b"\x85" * 190_000 + b"Ns.",  # a key whose hash overflows the stack
        NEST + b"2\x86" * 60 + b"Ns.",
        NEST + b"q\x00h\x00h\x00\x86q\x00" * 60 + b"Ns.",  # a key whose hash takes for ever
        b"\x80\x04" + DTYPE + b")q\x00h\x00h\x00\x86q\x00" * 60 + b"\x85R.",
        b"\x80\x02X" + struct.pack("<I", 0xFFFFFFFF) + b"short.",
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"short.",
        b"\x80\x04\x8b" + struct.pack("<I", 0x7FFFFFFF) + b"short.",
        b"\x80\x04}("
        + b"".join(b"\x8a\x08" + struct.pack("<q", k) + b"N" for k in range(99))
        + b"u.",
        b"\x80\x04ccollections\nOrderedDict\n)R}X\x03\0\0\0getNsb.",
        b"(i__main__\nx\n.",
        b"Pname\n.",
        b"\x80\x02\x82\x01.",
        b"\x80\x04\x8f.",
        b"b.",
        b"u.",
        b"R.",
        b"t.",
        b"0.",
        b"h\x07.",
    ],
)
def test_what_would_crash_or_hang_or_fill_the_memory_is_refused(program, tmp_path):
    (tmp_path / "model.pkl").write_bytes(program)
    with pytest.raises(WeightsError, match=r"model\.pkl (is|holds)") as error:
        read_pickle(tmp_path / "model.pkl")
    assert len(str(error.value)) < 400
    assert str(error.value).isprintable()


def test_one_text_in_many_arrays_takes_the_memory_of_one(tmp_path):
    shared = bytes(1_000_000)
    arrays = {str(k): array_of((250_000,), data=shared) for k in range(3000)}
    path = write(tmp_path / "model.pkl", published(arrays))
    assert path.stat().st_size < 2_000_000
    tracemalloc.start()
    with pytest.raises(WeightsError, match="is of another network"):
        read_weights(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_names_that_would_write_on_the_terminal_are_quoted(tmp_path):
    (tmp_path / "model.pkl").write_bytes(b"ca\x1b[2Jb\nc\n.")
    with pytest.raises(WeightsError, match=r"'a\\x1b\[2Jb\.c'"):
        read_pickle(tmp_path / "model.pkl")
    odd = {f"\x1b[2J{'x' * 5000}": np.float32([1])}
    with pytest.raises(WeightsError, match="another network") as error:
        read_weights(write(tmp_path / "model.pkl", published(odd)))
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 400


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
        (array_of((10**9,)), r"shape \[1000000000\] has 1 values"),
        (array_of((10**12,)), "damaged"),
        (array_of((10**5000,)), "damaged"),
        (array_of((1,) * 9), "damaged"),
        (array_of((2, 2)), r"shape \[2, 2\] has 1 values"),
        (array_of((-1,)), "damaged"),
        (array_of((1.5,)), "damaged"),
        (array_of((1,), data=b"\0\0\0"), "buffer size"),
        (array_of((1,), state=(1, 2)), "damaged"),
        (array_of((1,), state=(1, (1,), "f4", False, b"\0\0\0\0")), "damaged"),
        (np.array([None]), "arrays of type 'O8'"),
        (np.array(["text"]), "arrays of type 'U4'"),
        (np.array([1.0]), "arrays of type 'f8', not f2, f4 or i8"),
    ],
)
def test_arrays_that_are_none_are_refused(array, reason, tmp_path):
    with pytest.raises((WeightsError, ValueError), match=reason):
        read(write(tmp_path / "model.pkl", published({"a": array})))


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
            assert all(array.shape for array in read_pickle(path).values())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html>", "is a web page"),
        (b"version https://git-lfs", "is a Git LFS pointer"),
        (b"nothing known", "is no pickle of weights.*mcld weights download densepose"),
    ],
)
def test_files_of_another_kind_are_named(data, reason, tmp_path):
    (tmp_path / "model.pkl").write_bytes(data)
    with pytest.raises(WeightsError, match=rf"model\.pkl {reason}"):
        read_pickle(tmp_path / "model.pkl")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("model.safetensors", pickle.dumps(published(SMALL)), r"holds a pickle: name it \.pkl"),
        ("model.pkl", save({"a": torch.zeros(1)}), r"holds safetensors: name it \.safetensors"),
        ("model.pkl", b"PK\x03\x04", r"is a zip, as torch\.save writes: give the published"),
    ],
)
def test_a_file_of_the_wrong_name_is_told(name, data, reason, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(WeightsError, match=reason):
        read_weights(tmp_path / name)


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


def test_weights_that_are_no_numbers_are_refused(model, tmp_path):
    spoilt = {**model, "roi_heads.box_head.fc2.bias": np.full(1024, np.nan, np.float32)}
    with pytest.raises(WeightsError, match=r"fc2\.bias holds values that are no numbers"):
        read_weights(write(tmp_path / "model.pkl", published(spoilt)))


def test_arrays_of_too_few_values_are_refused(model, tmp_path):
    key = "roi_heads.box_head.fc2.bias"
    spoilt = {**model, key: array_of((1024,))}
    with pytest.raises(WeightsError, match=rf"damaged, {key}: .*\[1024\] has 1 values"):
        read_weights(write(tmp_path / "model.pkl", published(spoilt)))


def test_weights_that_lack_some_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"it lacks .* and 404 more"):
        read_weights(write(tmp_path / "model.pkl", published(SMALL)))
