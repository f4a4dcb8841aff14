"""`mcld weights convert densepose`."""

import pickle

import pytest
import torch
from safetensors.torch import load_file

from mcld.errors import SettingsError, WeightsError
from mcld.estimators.densepose.weights import read_weights
from mcld.weights.convert_densepose import convert_densepose
from tests.golden.densepose.weights import make_weights


def test_the_pickle_is_written_as_safetensors_bit_for_bit(tmp_path):
    model = {key: tensor.numpy() for key, tensor in make_weights(seed=1).items()}
    source, target = tmp_path / "model.pkl", tmp_path / "model.safetensors"
    source.write_bytes(pickle.dumps({"model": model, "__author__": "them"}))
    convert_densepose(source, target)
    written = load_file(target)
    assert written.keys() == model.keys()
    assert all(torch.equal(written[key], torch.from_numpy(model[key])) for key in model)
    assert read_weights(target).keys() == model.keys()
    with pytest.raises(SettingsError, match="exists already"):
        convert_densepose(source, target)
    with pytest.raises(SettingsError, match="is converted already"):
        convert_densepose(target, tmp_path / "other.safetensors")


def test_what_cannot_be_converted_leaves_nothing_behind(tmp_path):
    source, target = tmp_path / "model.pkl", tmp_path / "model.safetensors"
    with pytest.raises(WeightsError, match=r"model\.pkl is missing: mcld weights download"):
        convert_densepose(source, target)
    source.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(WeightsError, match=r"asks for 'posix\.system'"):
        convert_densepose(source, target)
    with pytest.raises(SettingsError, match=r"are written as \.safetensors"):
        convert_densepose(source, tmp_path / "model.pth")
    assert list(tmp_path.iterdir()) == [source]
