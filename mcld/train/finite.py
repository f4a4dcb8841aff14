"""What is not finite, by name, where a loss is not."""

from collections.abc import Mapping

import torch
from accelerate.utils import gather_object
from torch import Tensor

from mcld.errors import InputError, MCLDError, WeightsError
from mcld.pipeline import MCLDPipeline
from mcld.train.samples import Batch, TrainingSamples


def find_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor that holds an infinity or what is no number; None where all are.

    Whole numbers always are.
    """
    return next((name for name, t in tensors.items() if not torch.isfinite(t).all()), None)


def check_weights(pipeline: MCLDPipeline, source: str) -> None:
    """Raise WeightsError, which begins with `source`, for weights that are not finite."""
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module) and (key := find_not_finite(part.state_dict())):
            raise WeightsError(
                f"{source}: {key} of {name} is not finite: the file is damaged, or its training"
                " went wrong; take other weights"
            )


def explain_not_finite(
    told: str,
    batches: list[Batch],
    samples: TrainingSamples,
    model: torch.nn.Module,
    rate: float | None,
) -> MCLDError:
    """The error of a loss or a gradient that is not finite, which all processes find together.

    told: what is not, in words. batches: of the step. rate: the learning rate, None before a first
    step, where it cannot be at fault.
    """
    mine = next((line for batch in batches if (line := _find_sample(batch, samples))), None)
    found = next((line for line in gather_object([mine]) if line), None)
    if found:
        return InputError(f"{told}: {found}")
    if rate is not None:
        return MCLDError(f"{told} at learning rate {rate:.1e}: lower train.learning_rate")
    if key := find_not_finite(dict(model.named_parameters())):
        return WeightsError(f"{told}: {key.removeprefix('module.')} of the network is not finite")
    return MCLDError(
        f"{told}, before the first step, of finite pictures and weights: set train.precision=no, or"
        " train.source_noise, train.noise_offset and train.face_loss_weight nearer to their"
        " defaults"
    )


def _find_sample(batch: Batch, samples: TrainingSamples) -> str | None:
    """What is not finite in a batch, and of which pictures, in words."""
    name = find_not_finite(batch.tensors)
    if name is None:
        return None
    finite = torch.isfinite(batch[name]).flatten(1).all(dim=1)
    source, target = samples.pair(batch.numbers[int(finite.int().argmin())])
    files = " and ".join(str(samples.cache.path(stem)) for stem in dict.fromkeys((source, target)))
    return (
        f"the {name} of the pair {source}.jpg, {target}.jpg is not finite: delete {files}, and run"
        " again to encode them anew"
    )
