"""What several tests share: a small mannequin dataset and a tiny network, both real."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torchvision.models import alexnet, inception_v3

from mcld.dataset.layout import DatasetLayout
from mcld.mannequin.prepare import prepare_mannequins
from mcld.networks.names import TORCHVISION
from mcld.pipeline import MCLDPipeline
from mcld.settings import Settings, load_settings
from mcld.train.loop import train
from mcld.train.report import TrainReport
from mcld.train.start import new_pipeline

TINY = [
    "mannequin.block_out_channels=[16, 32]",
    "mannequin.norm_num_groups=8",
    "mannequin.attention_heads=2",
    "mannequin.cross_attention_dim=16",
    "mannequin.latent_channels=12",
    "mannequin.pose_channels=[4, 8, 8, 8]",
    "model.projector_dim=16",
    "model.projector_heads=2",
    "mannequin.image_encoder_width=16",
    "mannequin.image_encoder_layers=1",
    "mannequin.image_encoder_images=128",
    "mannequin.decoder_channels=16",
    "mannequin.decoder_images=256",
    "model.projector_depth=2",
    "train.pretrained=null",
    "train.frozen=[]",
    "train.height=64",
    "train.width=48",
    "train.workers=0",
    "train.validate_every=0",
]
"""Overrides of a network that trains in seconds, without validation sheets."""


@pytest.fixture(scope="session", autouse=True)
def _hear_ctrl_c() -> None:
    """A job in the background of a shell is born deaf to SIGINT, which some tests send."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """A real browser, for the studio's page and for studies."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DatasetLayout:
    """Three dolls in three pictures each, small; the last is for testing."""
    root = tmp_path_factory.mktemp("world") / "mannequin"
    return prepare_mannequins(root, 3, seed=5, style="dolls", pictures=3, size=(128, 88), workers=1)


@pytest.fixture
def tiny(dataset: DatasetLayout, tmp_path: Path) -> Settings:
    """Settings of a tiny network trained on `dataset` into a new folder."""
    return load_settings(
        None,
        [
            *TINY,
            f"train.dataset={dataset.root}",
            f"train.cache={tmp_path / 'cache'}",
            f"train.output={tmp_path / 'run'}",
        ],
    )


@pytest.fixture
def pipeline(tiny: Settings) -> MCLDPipeline:
    """A pipeline of the tiny network whose every weight is random, zero-initialised ones too."""
    made = new_pipeline(tiny)
    generator = torch.Generator().manual_seed(0)
    for parameter in made.network.parameters():
        if not parameter.any():
            parameter.data.normal_(generator=generator)
    made.set_progress_bar_config(disable=True)
    return made


@dataclass(frozen=True)
class FinishedRun:
    """A training run that is finished."""

    settings: Settings
    reports: list[TrainReport]
    said: list[str]
    pipeline: Path
    """The folder that it came to."""

    @property
    def output(self) -> Path:
        return self.settings.train.output

    @property
    def start(self) -> Path:
        """The pipeline folder that it began with: encoders that are fitted, a new network."""
        return self.output / "start"

    def copy(self, folder: Path) -> Settings:
        """Its settings in another output folder, which is made a copy of its own."""
        shutil.copytree(self.output, folder)
        options = self.settings.train.model_copy(update={"output": folder})
        return self.settings.model_copy(update={"train": options})


@pytest.fixture(scope="session")
def finished(dataset: DatasetLayout, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The tiny network's run from nothing: six steps of four, a checkpoint every other step."""
    folder = tmp_path_factory.mktemp("finished")
    settings = load_settings(
        None,
        [
            *TINY,
            f"train.dataset={dataset.root}",
            f"train.cache={folder / 'cache'}",
            f"train.output={folder / 'run'}",
            *("train.images=24", "train.batch_size=4", "train.checkpoint_every=8", "train.keep=2"),
        ],
    )
    reports: list[TrainReport] = []
    said: list[str] = []
    made = train(settings, resume=False, report=reports.append, say=said.append)
    return FinishedRun(settings, reports, said, made)


@pytest.fixture
def short(finished: FinishedRun, tmp_path: Path) -> Settings:
    """Settings of a run like `finished`, with its encoders and what they made of the pictures."""
    changes = {"start_from": finished.start, "output": tmp_path / "run"}
    options = finished.settings.train.model_copy(update=changes)
    return finished.settings.model_copy(update={"train": options})


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained folder with AlexNet and Inception v3 of random weights."""
    folder = tmp_path_factory.mktemp("pretrained")
    torch.manual_seed(0)
    torch.save(alexnet(weights=None).state_dict(), folder / TORCHVISION["alexnet"])
    network = inception_v3(weights=None, init_weights=False)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):  # or the features would all be next to nothing
            torch.nn.init.kaiming_normal_(module.weight)
    torch.save(network.state_dict(), folder / TORCHVISION["inception"])
    return folder


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def mcld(tmp_path: Path) -> Run:
    """Run the real command in an empty folder, without MCLD_* variables of the caller."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MCLD_")}

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mcld_cli", *arguments],
            cwd=tmp_path,
            env={**clean, "COLUMNS": "80", **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
