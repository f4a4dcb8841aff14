"""What the tests of training runs share."""

from pathlib import Path

import torch

from mcld.networks.folders import load_pipeline
from mcld.settings import Settings
from mcld.train.loop import train
from mcld.train.report import TrainReport


def with_settings(settings: Settings, group: str, **changes) -> Settings:
    """The same settings with other ones in a group."""
    changed = getattr(settings, group).model_copy(update=changes)
    return settings.model_copy(update={group: changed})


def with_train(settings: Settings, **changes) -> Settings:
    """The same settings with another `train`."""
    return with_settings(settings, "train", **changes)


def run(settings: Settings, *, resume: bool = False) -> Path:
    """Train, and let it talk."""
    return train(settings, resume=resume, report=lambda _: None, say=print)


def steps_of(settings: Settings) -> list[TrainReport]:
    """Train; the reports of the optimizer's steps."""
    reports: list[TrainReport] = []
    train(settings, resume=False, report=reports.append, say=print)
    return [report for report in reports if report.stage == "Training"]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of the network in a pipeline folder."""
    return load_pipeline(folder).network.state_dict()


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """That two networks are the same to the bit."""
    assert one.keys() == other.keys()
    for key, tensor in one.items():
        assert torch.equal(tensor, other[key]), key
