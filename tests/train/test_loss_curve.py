"""Training falls as the authors' own code falls, on the same network, pictures and noise.

golden/loss_curve.json holds the losses and the gradients' norms that their training step (their
networks, loss, clipping, and AdamW at 1e-3) gives on the inputs below, all of which are functions
of their names. Every sample is conditioned: what they drop for guidance differs from what we drop.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from mcld.conditions import FOCAL_CONDITIONS
from mcld.machine.processes import runs_on_cpu
from mcld.settings import load_settings
from mcld.train.loop import take_steps
from mcld.train.samples import Sample
from mcld.train.setup import prepare_network
from tests.golden import authors

CURVE = json.loads((Path(authors.__file__).parent / "loss_curve.json").read_text())
STEPS = len(CURVE["losses"])
BATCH = 4
PICTURES = 8


def generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(zlib.crc32(f"curve.{name}".encode())))


def normal(name: str, *shape: int) -> torch.Tensor:
    return torch.from_numpy(generator(name).standard_normal(shape).astype(np.float32))


def blocks(name: str, scale: float, largest: int) -> torch.Tensor:
    """[128, 128] uint8 in squares of 16."""
    coarse = (normal(name, 8, 8) + 2) * scale
    return coarse.clamp(0, largest).byte().repeat_interleave(16, 0).repeat_interleave(16, 1)


def sample(number: int) -> Sample:
    step, place = divmod(number, BATCH)
    k = number % PICTURES
    return Sample(
        number=number,
        target=normal(f"latents.{k}", 4, 16, 16),
        noise=normal(f"noise.{step}", BATCH, 4, 16, 16)[place],
        timestep=torch.tensor(generator(f"timesteps.{step}").integers(0, 1000, BATCH)[place]),
        source=normal(f"source.{k}", 1, 24),
        texture=normal(f"texture.{k}", 1, 24),
        reference_latents=normal(f"reference.{k}", 4, 16, 16),
        face=normal(f"face.{k}", 512),
        pose=torch.stack(
            [blocks(f"part.{k}", 7, 24), blocks(f"u.{k}", 60, 255), blocks(f"v.{k}", 60, 255)]
        ),
        dropped=False,
    )


@pytest.mark.parametrize(
    ("changes", "steps"), [([], STEPS), (["train.gradient_checkpointing=true"], 6)], ids=str
)
def test_losses_and_gradients_are_the_authors_step_by_step(changes: list[str], steps: int) -> None:
    settings = load_settings(
        Path("configs/deepfashion.yaml"),
        [
            f"train.images={steps * BATCH}",
            f"train.batch_size={BATCH}",
            "train.learning_rate=1e-3",
            "train.workers=0",
            "train.precision=no",
            *changes,
        ],
    )
    network = authors.network(authors.read(authors.FILES[0])[1])
    accelerator = Accelerator(cpu=runs_on_cpu())
    prepared = prepare_network(network, settings.train, accelerator)
    samples = [sample(number) for number in range(steps * BATCH)]
    reports = list(take_steps(*prepared, accelerator, samples, settings, FOCAL_CONDITIONS, 0))
    assert [r.loss for r in reports] == pytest.approx(CURVE["losses"][:steps], rel=1e-4)
    # A gradient's norm moves more than a loss does: float32 rounds otherwise in each library.
    norms = [r.gradient_norm for r in reports]
    assert norms == pytest.approx(CURVE["gradient_norms"][:steps], rel=1e-2)
