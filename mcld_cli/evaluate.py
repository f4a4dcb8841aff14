"""`mcld evaluate`: folders of results, scored as the papers do."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcld.distributed import is_first
from mcld.errors import InputError, MCLDError, SettingsError
from mcld_cli import console
from mcld_cli.launch import Processes, launch
from mcld_cli.options import Config, Overrides, overrides_of

if TYPE_CHECKING:
    from mcld.evaluate.run import EvaluationRequest
    from mcld.evaluate.scores import Scores
    from mcld.settings import Settings


def evaluate(
    save_path: Annotated[
        list[Path],
        typer.Option(
            metavar="DIR",
            help="Folder of results, with 256/ or 512/. Give several to compare them.",
            show_default=False,
        ),
    ],
    dataset: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The dataset whose test pairs are scored. (default: dataset/fashion)",
            show_default=False,
        ),
    ] = None,
    gt_path: Annotated[
        Path | None,
        typer.Option(
            "--gt-path",
            metavar="DIR",
            help="Folder of true pictures with the names of the results, in place of the dataset's"
            " test pairs.",
            show_default=False,
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Some of psnr,ssim,ssim_256,lpips,fid,face. (default: all)",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where metrics.json, per_image.csv and report.html go."
            " (default: evaluation, in the first --save-path)",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML",
            help="Published figures to show beside: docs/evaluation.md tells the format.",
            show_default=False,
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Exit with 1 when a pair is missing, a picture cannot be scored or a metric is"
            " left out.",
        ),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of LPIPS and FID, such as cuda:1 or cpu. (default: a GPU where there is one)",
            show_default=False,
        ),
    ] = None,
    processes: Processes = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Score pictures of the test pairs as the papers of the field do.

    A metric whose network is not on this machine is left out, and it is said
    how to get it. The report is one HTML file.

    Examples:

      mcld evaluate --save-path results/mcld

      mcld evaluate --save-path results/mannequin --dataset dataset/mannequin
      --metrics psnr,ssim

      mcld evaluate --save-path results/mcld --save-path results/other --strict
    """
    if len({path.resolve() for path in save_path}) < len(save_path):
        raise SettingsError("--save-path names one folder twice")
    from mcld.settings import load_settings

    flags = {
        "evaluate.dataset": dataset,
        "evaluate.metrics": f"[{metrics}]" if metrics is not None else None,
        "evaluate.device": device,
    }
    settings = load_settings(config, overrides_of(flags, overrides))
    if processes:
        launch(processes)
        return
    for path in (*save_path, *filter(None, [gt_path])):
        if not path.is_dir():
            raise InputError(f"{path} is no folder")
    console.quiet_libraries()
    from mcld.evaluate.baseline import read_baselines
    from mcld.evaluate.report import write_report
    from mcld.evaluate.run import EvaluationRequest
    from mcld.evaluate.table import table_of
    from mcld.files import check_writable

    folder = out or save_path[0] / "evaluation"
    check_writable(folder / "metrics.json")
    baselines = read_baselines(baseline) if baseline else []
    names = [path.name for path in save_path]
    requests = [
        EvaluationRequest(
            name if names.count(name) == 1 else str(path), settings.evaluate.dataset, path, gt_path
        )
        for name, path in zip(names, save_path, strict=True)
    ]
    found = _scored(settings, requests)
    if not is_first():
        return
    console.show_table(*table_of(found, baselines))
    for scores in found:
        for uncounted in scores.uncounted():
            console.say(uncounted)
    for scores in found:
        own = folder / scores.name.strip("/").replace("/", "_")
        scores.write(folder if len(found) == 1 else own)
    report = write_report(folder / "report.html", found, requests, baselines)
    console.say(f"The report is {report}.")
    if strict and any(scores.problems() for scores in found):
        raise MCLDError("--strict: not everything could be measured, see above")


def _scored(settings: "Settings", requests: "list[EvaluationRequest]") -> "list[Scores]":
    """Score folder after folder, each part of it under a bar of its own."""
    from mcld.evaluate.run import Evaluator

    with ExitStack() as bars:
        counts: dict[str, console.Count] = {}

        def on_picture(doing: str, done: int, total: int) -> None:
            if done == 0 and total:
                bars.close()
                counts[doing] = bars.enter_context(console.progress(doing, "pictures"))
            if total:
                counts[doing](done, total)

        evaluator = Evaluator(settings, say=console.say, on_picture=on_picture)
        return [evaluator.score(request) for request in requests]
