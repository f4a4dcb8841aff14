"""Files of tensors by name: read without running code from them."""

import pytest
import torch

from mcld.errors import WeightsError
from mcld.machine.tensor_files import halve_exact, load_into, read_state_dict, write_tensors


@pytest.mark.parametrize("content", [[torch.ones(1)], {"step": 3}])
def test_a_file_of_anything_but_tensors_by_name_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match="something else than tensors by name"):
        read_state_dict(tmp_path / "odd.pth")


class Malicious:
    """Unpickled, it would make a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_code_in_a_file_is_not_run(tmp_path):
    torch.save({"weight": Malicious(str(tmp_path / "made"))}, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match=r"cannot read the weights|is empty"):
        read_state_dict(tmp_path / "bad.pth")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"hello world", bytes(4096)])
def test_files_that_are_no_weights_are_refused(tmp_path, suffix, content):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"cannot read the weights|is empty"):
        read_state_dict(path)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_said_to_be(tmp_path, share):
    path = tmp_path / "weights.pth"
    torch.save({"weight": torch.ones(100, 100)}, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(
        WeightsError, match=r"weights\.pth: .*(damaged|cut short|central directory)"
    ):
        read_state_dict(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_git_lfs_pointer_is_told_as_that(tmp_path, suffix):
    path = tmp_path / f"denoising_unet{suffix}"
    path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab\nsize 3438167540\n"
    )
    with pytest.raises(WeightsError, match="is a Git LFS pointer, not the file: `git lfs pull`"):
        read_state_dict(path)


@pytest.mark.parametrize("content", [{"a": object}, [print], torch.nn.Linear(2, 2)])
def test_nobody_is_advised_to_run_code_in_a_file(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(WeightsError) as error:
        read_state_dict(tmp_path / "a.pth")
    assert "weights_only" not in str(error.value)
    assert "could run code" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod."])
def test_weights_saved_from_a_wrapped_network_are_read(tmp_path, wrapper):
    network = torch.nn.Linear(3, 2)
    wrapped = {wrapper + key: tensor for key, tensor in network.state_dict().items()}
    torch.save(wrapped, tmp_path / "a.pth")
    other = torch.nn.Linear(3, 2)
    load_into(other, tmp_path / "a.pth")
    assert torch.equal(other.weight, network.weight)


def test_another_prefix_of_all_keys_is_named(tmp_path):
    network = torch.nn.Linear(3, 2)
    torch.save({f"unet.{k}": t for k, t in network.state_dict().items()}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"all its keys begin with 'unet\.'"):
        load_into(network, tmp_path / "a.pth")


@pytest.mark.parametrize(("number", "dtype"), [(0.5, torch.float16), (0.1, torch.float32)])
def test_a_file_is_halved_where_that_changes_no_number(tmp_path, number, dtype):
    path = tmp_path / "weights.safetensors"
    kept = torch.arange(3)
    write_tensors(path, {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor(number), "c": kept})
    halve_exact(path)
    found = read_state_dict(path)
    assert (found["a"].dtype, found["b"].dtype, found["c"].dtype) == (dtype, dtype, kept.dtype)
    assert float(found["b"]) == float(torch.tensor(number))
