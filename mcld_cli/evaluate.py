"""`mcld evaluate`: folders of results, scored as the papers do."""

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcld.errors import MCLDError, SettingsError
from mcld.machine.processes import is_main
from mcld_cli import console
from mcld_cli.launch import Processes, launch
from mcld_cli.options import Config, Overrides, overrides_of

if TYPE_CHECKING:
    from mcld.evaluate.baseline import Figures
    from mcld.evaluate.request import EvaluationRequest, Listing
    from mcld.evaluate.scores import Scores
    from mcld.settings import Settings

_REPORT, _DIFFERENCES = "report.html", "differences.json"


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
            help="Exit with 1 when a pair or a training picture is missing, a picture cannot be"
            " scored or a metric is left out.",
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
    from mcld.evaluate.request import EvaluationRequest, list_results
    from mcld.machine.files import check_writable
    from mcld.settings import load_settings

    flags = {
        "evaluate.dataset": dataset,
        "evaluate.metrics": _list_of(metrics),
        "evaluate.device": device,
    }
    settings = load_settings(config, overrides_of(flags, overrides))
    folder = out or save_path[0] / "evaluation"
    names = _names(save_path)
    requests = [
        EvaluationRequest(name, settings.evaluate.dataset, path, gt_path)
        for name, path in zip(names, save_path, strict=True)
    ]
    baselines = _baselines(baseline, names)
    listings = [list_results(request) if is_main() else None for request in requests]
    if is_main():
        check_writable(folder / "metrics.json")
    if processes:
        launch(processes)
        return
    found = _scored(settings, requests, listings, folder)
    if not is_main():
        return
    from mcld.evaluate.report import write_report
    from mcld.evaluate.table import build_table, compare_results, write_comparisons

    titles, cells = build_table(found, baselines)
    for columns in console.fitting(titles, fixed=2):
        console.show_table(
            [titles[k] for k in columns], [[row[k] for k in columns] for row in cells]
        )
    for line in chain.from_iterable((*s.uncounted(), *s.notes()) for s in found):
        console.say(line)
    compared = compare_results(found)
    if len(found) > 1:
        write_comparisons(folder / _DIFFERENCES, compared)
    report = write_report(folder / _REPORT, found, requests, baselines, compared)
    console.say(f"The report is {report}; it tells how the numbers are made.")
    if strict and any(scores.problems() for scores in found):
        raise MCLDError("--strict: not everything could be measured, see above")


def _list_of(names: str | None) -> str | None:
    """Names of metrics as a setting has them."""
    from mcld.evaluate.scores import METRICS

    if names is None:
        return None
    for name in names.split(","):
        if name.strip() not in METRICS:
            known = ",".join(METRICS)
            raise SettingsError(f"--metrics {names}: {name!r} is no metric; give some of {known}")
    return f"[{names}]"


def _baselines(path: Path | None, names: list[str]) -> "list[Figures]":
    """Published figures, none of which is called as results are."""
    from mcld.evaluate.baseline import read_baselines

    figures = read_baselines(path) if path else []
    for name, _, _ in figures:
        if name in names:
            raise SettingsError(
                f"--baseline {path}: {name} is what a folder of results is called: rename it"
            )
    return figures


def _names(folders: list[Path]) -> list[str]:
    """What results are called in tables and below --out: each as its folder, or with a number."""
    taken = {_REPORT, _DIFFERENCES}
    names = []
    for folder in folders:
        plain = name = folder.resolve().name or "results"
        count = 1
        while name in taken:
            count += 1
            name = f"{plain}-{count}"
        taken.add(name)
        names.append(name)
    return names


def _scored(
    settings: "Settings",
    requests: "list[EvaluationRequest]",
    listings: "Sequence[dict[str, Listing] | None]",
    out: Path,
) -> "list[Scores]":
    """Score folder after folder, each part under a bar of its own; write each when it is done."""
    with console.importing():
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
        found = []
        for request, listing in zip(requests, listings, strict=True):
            scores = evaluator.score(request, listing)
            if is_main():
                scores.write(out if len(requests) == 1 else out / scores.name)
            found.append(scores)
        return found
