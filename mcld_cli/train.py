"""`mcld train`: pairs to weights."""

from contextlib import ExitStack
from typing import Annotated

import typer

from mcld_cli import console
from mcld_cli.options import Config, Overrides, overrides_of


def train(
    config: Config = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint of the output folder.")
    ] = False,
    overrides: Overrides = None,
) -> None:
    """Train a network on a prepared dataset.

    Settings come from the defaults (the paper's), then the file of --config, then
    MCLD_* variables such as MCLD_TRAIN__SEED=1, then --set; the last one counts.

    Examples:

      mcld train --config configs/mannequin.yaml

      mcld train --config configs/mannequin.yaml --set train.images=4800

      mcld train --config configs/mannequin.yaml --set train.start_from=runs/mannequin/pipeline
        --set train.output=runs/further
    """
    from mcld.settings import load_settings

    settings = load_settings(config, overrides_of({}, overrides))
    from mcld.train.loop import TrainReport
    from mcld.train.loop import train as train_network

    console.quiet_libraries()
    with ExitStack() as bars:
        counts: dict[str, console.Count] = {}

        def report(now: TrainReport) -> None:
            if now.stage not in counts:
                bars.close()  # the stage before has ended
                counts[now.stage] = bars.enter_context(console.progress(now.stage, "images"))
            note = "" if now.loss is None else f"loss {now.loss:.4f}"
            counts[now.stage](now.images, now.total, note)

        folder = train_network(settings, resume=resume, report=report)
    console.say(f"The network is in {folder}. Next: mcld sample --weights {folder} ...")
