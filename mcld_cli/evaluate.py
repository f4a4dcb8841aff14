"""`mcld evaluate`: folders of results, scored as the papers do."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from mcld.dataset.outputs import check_outputs
from mcld.dataset.results import RESULT_SIZES
from mcld.errors import MCLDError, SettingsError
from mcld.evaluate.baseline import Figures, read_baselines
from mcld.evaluate.registry import METRICS
from mcld.evaluate.request import EvaluationRequest, Listing, list_results
from mcld.evaluate.scores import Scores
from mcld.machine.processes import is_main
from mcld.settings import Settings, load_settings
from mcld_cli import console
from mcld_cli.launch import Processes, launch
from mcld_cli.options import (
    Config,
    Overrides,
    Values,
    check_device,
    make_overrides,
    refuse,
    setting_options,
    with_options,
)

_REPORT, _DIFFERENCES = "report.html", "differences.json"


@with_options(flags=setting_options(dataset="evaluate.dataset", device="evaluate.device"))
def evaluate(
    *,
    save_path: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Folder of results, with 256/ or 512/. Give several to compare them.",
        ),
    ] = None,
    sequence: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="In place of --save-path: a video or a folder of frames, of which is told how"
            " steady they are.",
        ),
    ] = None,
    flags: Values,
    gt_path: Annotated[
        Path | None,
        typer.Option(
            "--gt-path",
            metavar="DIR",
            help="Folder of true pictures with the names of the results, in place of the dataset's"
            " test pairs.",
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Some of psnr,ssim,ssim_256,lpips,fid,face. (default: all)",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where metrics.json, per_image.csv and report.html go."
            " (default: evaluation, in the first --save-path)",
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML",
            help="Published figures to show beside, such as configs/baselines.yaml.",
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
    processes: Processes = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Score pictures of the test pairs as the papers of the field do.

    A metric whose network is not on this machine is left out, and it is said
    how to get it. The report is one HTML file.

    Examples:

      mcld evaluate --save-path results/mcld --baseline configs/baselines.yaml

      mcld evaluate --save-path results --dataset dataset/mannequin

      mcld evaluate --save-path results/mcld --metrics psnr,ssim

      mcld evaluate --save-path results/mcld --save-path results/other --strict

      mcld evaluate --sequence out.mp4
    """
    if sequence is not None:
        others: Values = {
            "--save-path": save_path,
            "--gt-path": gt_path,
            "--metrics": metrics,
            "--out": out,
            "--baseline": baseline,
            "--strict": strict,
            "--processes": processes,
            "--dataset": flags.get("evaluate.dataset"),
        }
        refuse(others, "does not go with --sequence")
        _show_steadiness(sequence, load_settings(config, make_overrides(flags, overrides)))
        return
    if not save_path:
        raise SettingsError("give --save-path, a folder of results, or --sequence")
    if len({path.resolve() for path in save_path}) < len(save_path):
        raise SettingsError("--save-path names one folder twice")
    if metrics is not None:
        flags["evaluate.metrics"] = _parse_metrics(metrics)
    settings = load_settings(config, make_overrides(flags, overrides))
    check_device(settings.evaluate, processes)
    folder = out or save_path[0] / "evaluation"
    names = _name_results(save_path)
    requests = [
        EvaluationRequest(name, settings.evaluate.dataset, path, gt_path)
        for name, path in zip(names, save_path, strict=True)
    ]
    baselines = _load_baselines(baseline, names)
    listings = [list_results(request) if is_main() else None for request in requests]
    if is_main():
        _check_outputs(folder, save_path, gt_path, [p for p in (baseline, config) if p])
    if processes:
        launch(processes)
        return
    scores = _score(settings, requests, listings, folder)
    if is_main():
        _show_scores(scores, baselines, folder)
        if strict and any(s.list_problems() for s in scores):
            raise MCLDError("--strict: not everything could be measured, see above")


def _show_scores(scores: list[Scores], baselines: list[Figures], folder: Path) -> None:
    """Write the report, and print its table."""
    from mcld.evaluate.report import write_report
    from mcld.evaluate.table import (
        build_table,
        compare_results,
        describe_comparisons,
        write_comparisons,
    )

    # Written before anything is printed, which may fail
    compared = compare_results(scores)
    if len(scores) > 1:
        write_comparisons(folder / _DIFFERENCES, compared)
    report = write_report(folder / _REPORT, scores, baselines, compared)
    titles, cells = build_table(scores, baselines)
    for columns in console.split_columns(titles, fixed=2):
        console.show_table(
            [titles[k] for k in columns],
            [[row[k] for k in columns] for row in cells],
            whole=titles[:2],
        )
    for line in chain.from_iterable((*s.list_uncounted(), *s.list_notes()) for s in scores):
        console.say(line)
    console.say(f"The report is {report}; it tells how the numbers are made.")
    console.show_result(
        {
            "report": report,
            "results": [each.describe() for each in scores],
            "differences": describe_comparisons(compared),
        }
    )


def _show_steadiness(sequence: Path, settings: Settings) -> None:
    """Print how steady a sequence is."""
    check_device(settings.evaluate, None)
    with console.importing():
        from mcld.evaluate.sequence import measure_steadiness

    with console.progress("Reading frames", "frames") as count:
        found = measure_steadiness(sequence, settings, say=console.say, on_frame=count)
    shown = {
        "warping error (levels of 255)": (found.warping_error, ".2f"),
        "deviation of a place's colour": (found.deviation, ".2f"),
        f"faces alike ({found.face_embedder})": (found.face_similarity, ".3f"),
        "clothes alike": (found.clothes_similarity, ".3f"),
    }
    rows = [[name, "-" if n is None else f"{n:{digits}}"] for name, (n, digits) in shown.items()]
    rows.append(["frames", str(found.frames)])
    rows += [["of which show nobody", str(found.nobody)]] if found.nobody else []
    console.show_table([sequence.name, ""], rows)
    console.say("Measured on the surface of the body, along the maps' own flow: docs/sequences.md")
    console.show_result(found.describe())


def _check_outputs(
    folder: Path, save_path: list[Path], gt_path: Path | None, files: list[Path]
) -> None:
    """Refuse a folder for the report that holds pictures which are read."""
    read = [*save_path, *([gt_path] if gt_path else [])]
    pictures = {(path / size).resolve() for path in read for size in RESULT_SIZES}
    if folder.resolve() in pictures | ({gt_path.resolve()} if gt_path else set()):
        raise SettingsError(f"--out {folder} holds pictures that are scored; give another folder")
    names = ("metrics.json", "per_image.csv", _REPORT, _DIFFERENCES)
    check_outputs("--out", [folder / name for name in names], files)


def _parse_metrics(text: str) -> list[str]:
    """The metrics of "psnr,ssim". Raises SettingsError for a name that is no metric's."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in METRICS:
            known = ",".join(METRICS)
            raise SettingsError(f"--metrics {text}: {name!r} is no metric; give some of {known}")
    return names


def _load_baselines(path: Path | None, names: list[str]) -> list[Figures]:
    """Published figures, none of which is called as results are."""
    figures = read_baselines(path) if path else []
    for name in (published.name for published in figures):
        if name in names:
            raise SettingsError(
                f"--baseline {path}: {name} is what a folder of results is called: rename it"
            )
    return figures


def _name_results(folders: list[Path]) -> list[str]:
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


def _score(
    settings: Settings,
    requests: list[EvaluationRequest],
    listings: Sequence[dict[str, Listing] | None],
    out: Path,
) -> list[Scores]:
    """Score folder after folder, each part under a bar of its own; write each when it is done."""
    with console.importing():
        from mcld.evaluate.run import Evaluator

    with console.StageProgress("pictures") as progress:

        def on_picture(stage: str, done: int, total: int) -> None:
            if total:
                progress.count(stage, done, total)

        evaluator = Evaluator(settings, say=console.say, on_picture=on_picture)
        all_scores = []
        for request, listing in zip(requests, listings, strict=True):
            place = out if len(requests) == 1 else out / request.name
            scores = evaluator.score(request, listing, place / "cache")
            if is_main():
                scores.write(place)
            all_scores.append(scores)
        return all_scores
