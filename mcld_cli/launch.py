"""Running a command in several processes, through accelerate's launcher."""

import os
import sys
from typing import Annotated

import typer

from mcld.errors import SettingsError, StoppedError

SECONDS_TO_SAVE = 600
"""How long the launcher waits for its processes to save their work when it is told to end."""

Processes = Annotated[
    int | None,
    typer.Option(
        "--processes",
        metavar="N",
        min=2,
        help="Work in so many processes, one a GPU, through accelerate's launcher.",
    ),
]


def launch(processes: int) -> None:
    """Run this very command in several processes; end as the first that failed."""
    # What went wrong is said by the process in which it did: the launcher is to be quiet.
    os.environ.setdefault("LOGLEVEL", "CRITICAL")
    import torch
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    gpus = torch.accelerator.device_count()
    if 0 < gpus < processes:
        raise SettingsError(f"--processes {processes}: this machine has {gpus} GPUs, one a process")
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SECONDS_TO_SAVE))
    launcher = ["--multi_gpu", "--num_machines", "1", "--num_processes", str(processes)]
    launcher += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    threads = max(1, (os.cpu_count() or 1) // processes)
    launcher += ["--num_cpu_threads_per_process", str(threads)]
    command = _without_processes(sys.argv[1:])
    arguments = launch_command_parser().parse_args([*launcher, "-m", "mcld_cli", *command])
    try:
        launch_command(arguments)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        raise typer.Exit(max(failure.exitcode, 1)) from error
    except SignalException as error:  # passed on to the processes, which have saved and ended
        raise typer.Exit(StoppedError.exit_code) from error


def _without_processes(words: list[str]) -> list[str]:
    """A command line without --processes N or --processes=N."""
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--processes":
            next(rest)
        elif not word.startswith("--processes="):
            kept.append(word)
    return kept
