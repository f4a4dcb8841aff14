"""`mcld train`: pairs to weights."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcld.distributed import is_first
from mcld.errors import SettingsError, StoppedError
from mcld_cli import console
from mcld_cli.options import Config, Overrides, overrides_of

if TYPE_CHECKING:
    from mcld.train.steps import TrainReport

SECONDS_TO_SAVE = 600
"""How long the launcher waits for its processes to write a checkpoint when it is told to end."""


def train(
    ctx: typer.Context,
    config: Config = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint of the output folder.")
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=2,
            help="Train in so many processes, one a GPU, through accelerate's launcher.",
            show_default=False,
        ),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Train a network on a prepared dataset.

    Settings come from the defaults (the paper's), then the file of --config, then
    MCLD_* variables such as MCLD_TRAIN__SEED=1, then --set; the last one counts.

    Examples:

      mcld train --config configs/mannequin.yaml

      mcld train --config configs/mannequin.yaml --set train.images=4800

      mcld train --config configs/deepfashion.yaml --processes 2

      mcld train --set train.start_from=runs/mannequin/pipeline
    """
    from mcld.settings import load_settings

    settings = load_settings(config, overrides_of({}, overrides))
    if processes:
        debug = bool(ctx.parent and ctx.parent.params.get("debug"))
        _launch(processes, config, resume, overrides or [], debug)
        return
    console.quiet_libraries()
    from mcld.train.loop import train as train_network

    with ExitStack() as bars:
        counts: dict[str, console.Count] = {}

        def report(now: "TrainReport") -> None:
            if now.stage not in counts:
                bars.close()  # the stage before has ended
                counts[now.stage] = bars.enter_context(console.progress(now.stage, "images"))
            counts[now.stage](now.images, now.total, _note(now))

        def say(line: str) -> None:
            bars.close()
            counts.clear()  # a bar that goes on is drawn anew below
            console.say(line)

        folder = train_network(settings, resume=resume, report=report, say=say)
    if is_first():
        console.say(f"The network is in {folder}. Next:")
        console.show_command(
            f"mcld sample --weights {folder} --source A.jpg --pose B.png --out C.png"
        )


def _launch(
    processes: int, config: Path | None, resume: bool, overrides: list[str], debug: bool
) -> None:
    """Run the same command in several processes; end as the first that failed."""
    # What went wrong is said by the process in which it did: the launcher is to be quiet.
    os.environ.setdefault("LOGLEVEL", "CRITICAL")
    import torch
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    gpus = torch.cuda.device_count()
    if 0 < gpus < processes:
        raise SettingsError(f"--processes {processes}: this machine has {gpus} GPUs, one a process")
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SECONDS_TO_SAVE))
    command = ["--debug", "train"] if debug else ["train"]
    command += ["--config", str(config)] if config else []
    command += ["--resume"] if resume else []
    command += [word for override in overrides for word in ("--set", override)]
    launcher = ["--multi_gpu", "--num_machines", "1", "--num_processes", str(processes)]
    launcher += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    arguments = launch_command_parser().parse_args([*launcher, "-m", "mcld_cli", *command])
    try:
        launch_command(arguments)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        raise typer.Exit(max(failure.exitcode, 1)) from error
    except SignalException as error:  # passed on to the processes, which have saved and ended
        raise typer.Exit(StoppedError.exit_code) from error


def _note(now: "TrainReport") -> str:
    """Loss, gradient norm, learning rate and GPU memory of the latest step."""
    if now.loss is None:
        return ""
    import torch

    words = [
        f"loss {now.loss:.4f}",
        f"gradient {now.gradient_norm:.3g}",
        f"rate {now.learning_rate:.2g}",
    ]
    if torch.cuda.is_available():
        words.append(f"{torch.cuda.max_memory_reserved() / 1e9:.1f} GB")
    return ", ".join(words)
