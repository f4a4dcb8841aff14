"""What a run says of itself: how far each stage is, and what will be trained."""

from collections.abc import Callable
from dataclasses import dataclass

from accelerate import Accelerator

from mcld.dataset.views import split_views
from mcld.model import MCLD
from mcld.settings import TrainSettings
from mcld.train.samples import TrainingSamples


@dataclass(frozen=True)
class TrainReport:
    """How far a stage of training has come."""

    stage: str
    """What is being done, in words."""
    images: int
    """Pictures done."""
    total: int
    """Pictures to do."""
    loss: float | None = None
    """Mean loss of the latest step over all processes, when there is one."""
    gradient_norm: float | None = None
    """Of the latest step, before clipping."""
    learning_rate: float | None = None
    """Of the latest step."""
    correspondence: float | None = None
    """Mean squared distance of flows from the truth, of the latest step; its weight is not in it,
    nor it in `loss`."""

    def values(self) -> dict[str, float]:
        """What trackers log of a step."""
        names = ("loss", "gradient_norm", "learning_rate", "correspondence")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


Report = Callable[[TrainReport], None]


def count_stage(report: Report, stage: str) -> Callable[[int, int], None]:
    """A counter, told (pictures done, pictures to do), that reports a stage."""
    return lambda done, total: report(TrainReport(stage, done, total))


def count_noun(count: int, noun: str) -> str:
    """A number of things, in words: `1 step`, `2,000 steps`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def introduce(
    network: MCLD,
    samples: TrainingSamples,
    images: int,
    options: TrainSettings,
    accelerator: Accelerator,
    say: Callable[[str], None],
) -> None:
    """Say what will be trained, on what, and where. images: pictures seen before."""
    for name, part in network.named_children():
        trained = sum(p.numel() for p in part.parameters() if p.requires_grad)
        frozen = sum(p.numel() for p in part.parameters()) - trained
        left = f", {frozen / 1e6:.3g} M frozen or unused" if frozen else ""
        say(f"{name}: {trained / 1e6:.3g} M parameters to train{left}")
    processes = int(accelerator.num_processes)
    batch = options.batch_size * options.accumulation * processes
    steps = max(0, options.images - images) // batch
    begun = f" after {images:,} pictures" if images else ""
    pairs = len(samples.pairs)
    pictures = sum(len(split_views(stem)) == 1 for stem in samples.stems)
    say(
        f"{count_noun(pairs, 'pair')} of {count_noun(pictures, 'picture')} at"
        f" {options.height}x{options.width}; {count_noun(steps, 'step')} of {batch}{begun}"
    )
    if not steps:
        say(
            f"nothing is left to train: of train.images={options.images:,}, {images:,} are seen in"
            f" steps of {batch}"
        )
    megabytes = samples.cache.size(samples.stems) / 1e6
    say(f"encoded pictures: {megabytes:,.0f} MB in {samples.cache.folder}")
    precision = {"no": "float32"}.get(options.precision, options.precision)
    share = f", {processes} processes" if processes > 1 else ""
    say(f"device: {accelerator.device}, {precision}{share}")
