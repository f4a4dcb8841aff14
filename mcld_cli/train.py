"""`mcld train`: pairs to weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcld.machine.accelerator import find_accelerator, is_discrete
from mcld.machine.processes import count_processes, end_processes, is_main
from mcld.settings import load_settings
from mcld.train.plan import check_run
from mcld.train.stages import check_recipe, read_stages
from mcld_cli import console
from mcld_cli.launch import Processes, launch
from mcld_cli.options import Config, Overrides, refuse

if TYPE_CHECKING:
    from mcld.train.report import TrainReport


def train(
    config: Config = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint of the output folder.")
    ] = False,
    recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML",
            help="Several trainings, each further from the one before; goes on where a run of it"
            " was broken off.",
        ),
    ] = None,
    processes: Processes = None,
    overrides: Overrides = None,
) -> None:
    """Train a network on a prepared dataset.

    Settings come from the defaults (the paper's), then the file of --config, then
    MCLD_* variables such as MCLD_TRAIN__SEED=1, then --set; the last one counts.

    Examples:

      mcld train --config configs/mannequin.yaml

      mcld train --config configs/mannequin.yaml --set train.images=4800

      mcld train --config configs/deepfashion.yaml --processes 2

      mcld train --config mine.yaml --set train.start_from=runs/1/pipeline

      mcld train --recipe configs/mannequin-recipe.yaml
    """
    together = processes or count_processes()
    if recipe:
        given = {"--config": config, "--resume": resume}
        refuse(given, "goes without --recipe, which names its file and always goes on")
        stages = read_stages(recipe, overrides or [])
        check_recipe(stages, together)
    else:
        settings = load_settings(config, overrides)
        check_run(settings.train, processes=together, resume=resume)
    if processes:
        launch(processes)
        return
    with console.importing_diffusers():
        from mcld.train.loop import train as train_network
        from mcld.train.recipe import train_recipe

    with console.StageProgress("images") as progress:

        def report(step: "TrainReport") -> None:
            progress.count(step.stage, step.images, step.total, _describe(step))

        def say(line: str) -> None:
            progress.close()  # the line stands above the bar
            console.say(line)

        if recipe:
            folder = train_recipe(stages, report=report, say=say)
        else:
            folder = train_network(settings, resume=resume, report=report, say=say)
    end_processes()
    if is_main():
        console.say(f"The network is in {folder}. Next:")
        console.show_command(
            *("mcld", "sample", "--weights", folder),
            *("--source", "A.jpg", "--pose", "B.png", "--out", "C.png"),
        )
        console.show_result({"pipeline": folder})


def _describe(step: "TrainReport") -> str:
    """Loss, gradient norm, learning rate and GPU memory of the latest step."""
    if step.loss is None:
        return ""
    import torch

    words = [
        f"loss {step.loss:.4f}",
        f"gradient {step.gradient_norm:.3g}",
        f"rate {step.learning_rate:.2g}",
    ]
    device = find_accelerator()
    if device and is_discrete(device):  # not every PyTorch tells it of Apple's
        words.append(f"{torch.accelerator.max_memory_reserved() / 1e9:.1f} GB")
    return ", ".join(words)
