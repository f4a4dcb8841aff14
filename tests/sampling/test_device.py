"""Where networks run, and in which precision, on machines that need not be this one."""

import pytest
import torch

from mcld.errors import MCLDError, SettingsError
from mcld.sampling import device as device_module
from mcld.sampling.device import choose_device, open_device
from mcld.sampling.placement import choose_dtype, explain_memory
from mcld.settings import load_settings

APPLE = torch.device("mps")


def sample(*overrides: str):
    return load_settings(None, [f"sample.{one}" for one in overrides]).sample


def test_where_nothing_is_asked_for_it_is_the_accelerator_that_is_here(monkeypatch):
    here = torch.accelerator.current_accelerator(check_available=True)
    assert choose_device(sample()) == (here or torch.device("cpu"))
    monkeypatch.setattr(device_module, "find_accelerator", lambda: APPLE)
    assert choose_device(sample()) == APPLE
    assert choose_device(sample(), torch.device("cpu")) == torch.device("cpu")
    assert choose_device(sample("device=cpu")) == torch.device("cpu")


@pytest.mark.parametrize(
    ("device", "dtype"),
    [
        ("cuda:1", torch.bfloat16),  # which is ROCm, too
        ("xpu", torch.bfloat16),
        ("mps", torch.float32),
        ("cpu", torch.float32),
    ],
)
def test_precision_is_halved_by_default_where_that_is_known_to_be_fast(device, dtype):
    assert choose_dtype(sample(), torch.device(device)) == dtype
    assert choose_dtype(sample("dtype=float16"), torch.device(device)) == torch.float16


def test_what_apples_gpus_do_not_have_is_refused_at_once():
    with pytest.raises(SettingsError, match="share the machine's: leave it out, or give --dtype"):
        choose_device(sample("low_memory=true"), APPLE)
    with pytest.raises(SettingsError, match=r"storage_dtype=float8 cannot be had on Apple's"):
        choose_device(sample("storage_dtype=float8"), APPLE)
    for taken in ("low_memory=true", "storage_dtype=float8"):
        assert choose_device(sample(taken), torch.device("cuda")) == torch.device("cuda")


def test_an_accelerator_that_is_not_here_is_told_in_one_line():
    if torch.backends.mps.is_available():
        pytest.skip("there is one")
    with pytest.raises(SettingsError, match=r"^sample\.device=mps cannot be used here; give cpu"):
        open_device("mps", "sample.device")


def test_on_apples_gpus_running_out_of_memory_says_what_helps_there(pipeline):
    full = RuntimeError("MPS backend out of memory (MPS allocated: 9 GiB, max allowed: 9 GiB).")
    with (
        pytest.raises(MCLDError, match=r"^out of memory: lower --size, 64x48, or give --dtype bfl"),
        explain_memory(sample(), pipeline.resolve_options(), APPLE),
    ):
        raise full
    with (
        pytest.raises(MCLDError, match=r"^out of memory: lower --size, 64x48$"),
        explain_memory(sample("dtype=bfloat16"), pipeline.resolve_options(), APPLE),
    ):
        raise full
