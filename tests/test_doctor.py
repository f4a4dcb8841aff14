"""What computes here, told of machines that need not be this one."""

from types import SimpleNamespace

import pytest
import torch

from mcld import doctor
from mcld.settings import load_settings


@pytest.mark.parametrize(
    ("device", "hip", "here"),
    [
        ("mps", None, "Apple's GPU (mps), 11 GB of the machine's memory"),
        ("cuda", None, "Radeon, 24 GB"),
        ("cuda", "6.4", "Radeon, 24 GB, by ROCm 6.4"),
    ],
)
def test_the_doctor_names_the_accelerator(monkeypatch, device, hip, here):
    gpu = SimpleNamespace(name="Radeon", total_memory=24 << 30)
    monkeypatch.setattr(doctor, "find_accelerator", lambda: torch.device(device))
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 11 << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: gpu)
    monkeypatch.setattr(torch.version, "hip", hip)
    computing, *_ = doctor.find_abilities(load_settings())
    assert (computing.what, computing.here) == ("computing", here)
