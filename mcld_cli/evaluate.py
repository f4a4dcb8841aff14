"""`mcld evaluate`: folders of results, scored as the papers do."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mcld.dataset.outputs import check_outputs
from mcld.dataset.results import RESULT_SIZES
from mcld.errors import MCLDError, SettingsError
from mcld.evaluate.baseline import Figures, read_baselines
from mcld.evaluate.layouts import LAYOUTS, Layout, find_layout, parse_pattern
from mcld.evaluate.protocol import DEFAULT, list_protocols, load_protocol
from mcld.evaluate.registry import METRICS, list_wanted
from mcld.evaluate.request import EvaluationRequest, list_results
from mcld.evaluate.scores import Scores
from mcld.evaluate.styles import STYLES, Style
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
from mcld_cli.scores import (
    DIFFERENCES,
    EXPLANATION,
    REPORT,
    explain_scores,
    score_results,
    show_scores,
)
from mcld_cli.steadiness import show_steadiness
from mcld_cli.study import make_study_page, show_answers

_people_option = partial(typer.Option, rich_help_panel="People's judgement")


@with_options(flags=setting_options(dataset="evaluate.dataset", device="evaluate.device"))
def evaluate(
    *,
    results: Annotated[
        list[Path] | None,
        typer.Option(
            "--results",
            "--save-path",
            metavar="DIR",
            help="Folder of results. Give several to compare them.",
        ),
    ] = None,
    layout: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"How its pictures are named: {', '.join(LAYOUTS)}. One for all --results, or one"
            " each. (default: mcld, with 256/ and 512/)",
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="In place of --layout: names such as '{from}_to_{to}.png'.",
        ),
    ] = None,
    panel: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Which of pictures side by side is the result: from 1, or from the end from -1.",
        ),
    ] = None,
    sequence: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="In place of --results: a video or a folder of frames, of which is told how"
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
            help=f"Some of {','.join(METRICS)}, or all. (default: those of the papers)",
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"How numbers are made: {', '.join(list_protocols())}, or a YAML file.",
        ),
    ] = DEFAULT,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Another protocol: tells what each difference to it does to every number.",
        ),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(
            metavar="STYLE",
            help="Print the table alone on stdout: latex, markdown or csv.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where metrics.json, per_image.csv and report.html go."
            " (default: evaluation, in the first --results)",
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
    study: Annotated[
        Path | None,
        _people_option(
            metavar="DIR",
            help="Make a page there on which people judge --results, and its key.",
        ),
    ] = None,
    answers: Annotated[
        Path | None,
        _people_option(
            metavar="DIR", help="Score the answers in this folder to the study in --study."
        ),
    ] = None,
    pictures: Annotated[
        int | None,
        _people_option(
            metavar="N",
            min=1,
            help="Real pictures to judge, and as many generated ones. (default: 30)",
        ),
    ] = None,
    comparisons: Annotated[
        int | None,
        _people_option(
            metavar="N",
            min=1,
            help="Comparisons of two methods, with several --results. (default: 30)",
        ),
    ] = None,
    seconds: Annotated[
        int | None,
        _people_option(
            metavar="N",
            min=1,
            help="How long each picture to judge is shown. (default: until it is judged)",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        _people_option(metavar="N", help="Decides which pictures are shown. (default: 0)"),
    ] = None,
    processes: Processes = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Score pictures of the test pairs as the papers of the field do.

    A metric whose network is not on this machine is left out, and it is said
    how to get it. The report is one HTML file. A run that was broken off goes
    on where it was.

    Examples:

      mcld evaluate --results results/mcld --baseline configs/baselines.yaml

      mcld evaluate --results results --dataset dataset/mannequin

      mcld evaluate --results results/mcld --metrics psnr,ssim

      mcld evaluate --results results/mcld --results results/other --strict

      mcld evaluate --results PIDM --layout pidm --protocol pidm

      mcld evaluate --results theirs --pattern '{from}-{to}.png' --table latex

      mcld evaluate --results results/mcld --explain pidm

      mcld evaluate --sequence out.mp4

      mcld evaluate --results results/mcld --results results/other --study study

      mcld evaluate --study study --answers answers
    """
    reading: Values = {
        "--results": results,
        "--layout": layout,
        "--pattern": pattern,
        "--panel": panel,
        "--gt-path": gt_path,
        "--dataset": flags.get("evaluate.dataset"),
    }
    scoring: Values = {
        "--metrics": metrics,
        "--protocol": protocol if protocol != DEFAULT else None,
        "--explain": explain,
        "--table": table,
        "--out": out,
        "--baseline": baseline,
        "--strict": strict,
        "--processes": processes,
    }
    asking: Values = {
        "--pictures": pictures,
        "--comparisons": comparisons,
        "--seconds": seconds,
        "--seed": seed,
    }
    if sequence is not None:
        people: Values = {"--study": study, "--answers": answers, **asking}
        refuse(reading | scoring | people, "does not go with --sequence")
        show_steadiness(sequence, load_settings(config, make_overrides(flags, overrides)))
        return
    if answers is not None:
        refuse(reading | scoring | asking, "does not go with --answers")
        show_answers(study, answers)
        return
    if study is not None:
        refuse(scoring, "does not go with --study")
        settings = load_settings(config, make_overrides(flags, overrides))
        results = _check_results(results)
        layouts = _choose_layouts(len(results), layout, pattern, panel)
        names = _name_results(results)
        make_study_page(study, _make_requests(settings, names, results, gt_path, layouts), asking)
        return
    refuse(asking, "needs --study, without --answers")
    results = _check_results(results)
    if metrics is not None:
        flags["evaluate.metrics"] = _parse_metrics(metrics)
    settings = load_settings(config, make_overrides(flags, overrides))
    list_wanted(settings.evaluate.metrics)
    check_device(settings.evaluate, processes)
    folder = out or results[0] / "evaluation"
    names = _name_results(results)
    layouts = _choose_layouts(len(results), layout, pattern, panel)
    requests = _make_requests(settings, names, results, gt_path, layouts)
    protocols = [load_protocol(name) for name in (protocol, explain) if name]
    baselines = _load_baselines(baseline, names)
    if explain:
        several = len(results) > 1
        others = {"--table": table, "--baseline": baseline, "--strict": strict}
        refuse(others | {"a second --results": several}, "does not go with --explain")
    style = _check_style(table)
    listings = [list_results(request) if is_main() else None for request in requests]
    if is_main():
        _check_outputs(folder, results, gt_path, [p for p in (baseline, config) if p])
    if processes:
        launch(processes)
        return
    if explain:
        explain_scores(settings, protocols, requests[0], listings[0], folder)
        return
    scores = score_results(settings, requests, listings, folder, protocols[0])
    if is_main():
        show_scores(scores, baselines, folder, style)
        _check_strict(strict, scores)


def _check_strict(strict: bool, scores: list[Scores]) -> None:
    """Raise MCLDError where not everything could be measured, and that is wanted."""
    if strict and any(s.list_problems() for s in scores):
        raise MCLDError("--strict: not everything could be measured, see above")


def _check_results(results: list[Path] | None) -> list[Path]:
    """The folders of results, each once."""
    if not results:
        raise SettingsError("give --results, a folder of results, or --sequence")
    if len({path.resolve() for path in results}) < len(results):
        raise SettingsError("--results names one folder twice")
    return results


def _make_requests(
    settings: Settings,
    names: list[str],
    results: list[Path],
    gt_path: Path | None,
    layouts: list[Layout],
) -> list[EvaluationRequest]:
    """What to score of each folder of results."""
    return [
        EvaluationRequest(names[k], settings.evaluate.dataset, path, gt_path, layouts[k])
        for k, path in enumerate(results)
    ]


def _choose_layouts(
    count: int, names: list[str] | None, pattern: str | None, panel: int | None
) -> list[Layout]:
    """The layout of each folder of results."""
    if pattern is not None:
        refuse({"--layout": names, "--panel": panel}, "does not go with --pattern")
        return [parse_pattern(pattern)] * count
    chosen = [find_layout(name, panel) for name in names or ["mcld"]]
    if len(chosen) == 1:
        return chosen * count
    if len(chosen) != count:
        raise SettingsError(f"--layout is given {len(chosen)} times, --results {count} times")
    return chosen


def _check_style(text: str | None) -> Style | None:
    """The style of a table, for which stdout is kept."""
    if text is None:
        return None
    style = next((style for style in STYLES if style == text), None)
    if style is None:
        raise SettingsError(f"--table {text}: give {', '.join(STYLES)}")
    console.keep_stdout()
    return style


def _check_outputs(
    folder: Path, results: list[Path], gt_path: Path | None, files: list[Path]
) -> None:
    """Refuse a folder for the report that holds pictures which are read."""
    read = [*results, *([gt_path] if gt_path else [])]
    pictures = {(path / size).resolve() for path in read for size in RESULT_SIZES}
    if folder.resolve() in pictures | ({gt_path.resolve()} if gt_path else set()):
        raise SettingsError(f"--out {folder} holds pictures that are scored; give another folder")
    names = ("metrics.json", "per_image.csv", REPORT, DIFFERENCES, EXPLANATION)
    check_outputs("--out", [folder / name for name in names], files)


def _parse_metrics(text: str) -> list[str]:
    """The metrics of "psnr,ssim". Raises SettingsError for a name that is no metric's."""
    names = [name.strip() for name in text.split(",")]
    try:
        list_wanted(names)
    except SettingsError as error:
        raise SettingsError(f"--metrics {text}: {error}") from error
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
    taken = {REPORT, DIFFERENCES, EXPLANATION, "cache"}
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
