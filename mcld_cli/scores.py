"""What `mcld evaluate` scores, writes and shows."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from mcld.evaluate.baseline import Figures
from mcld.evaluate.protocol import Protocol
from mcld.evaluate.request import EvaluationRequest, Listing
from mcld.evaluate.scores import Scores
from mcld.evaluate.styles import Style
from mcld.machine.processes import is_main
from mcld.settings import Settings
from mcld_cli import console

REPORT, DIFFERENCES, EXPLANATION = "report.html", "differences.json", "explanation.json"
"""What is written beside metrics.json and per_image.csv."""


def score_results(
    settings: Settings,
    requests: list[EvaluationRequest],
    listings: Sequence[dict[str, Listing] | None],
    out: Path,
    protocol: Protocol,
) -> list[Scores]:
    """Score folder after folder; write each when it is done."""
    alone = len(requests) == 1
    places = [out if alone else out / request.name for request in requests]
    return _score_all(
        settings, requests, listings, [place / "cache" for place in places], protocol, places
    )


def explain_scores(
    settings: Settings,
    protocols: list[Protocol],
    request: EvaluationRequest,
    listing: dict[str, Listing] | None,
    out: Path,
) -> None:
    """Print what each difference of two protocols does to every number."""
    first, second = protocols
    if not first.list_differences(second):
        console.say(f"{first.name} and {second.name} are one protocol: {first.hash}")
        return
    with console.importing():
        from mcld.evaluate.explain import (
            build_explanation,
            describe_explanation,
            explain,
            write_explanation,
        )

    def score(protocol: Protocol) -> Scores:
        return _score_all(settings, [request], [listing], [out / "cache"], protocol)[0]

    steps = explain(first, second, score)
    if not is_main():
        return
    write_explanation(out / EXPLANATION, steps, second)
    for size in steps[0].scores.sizes:
        titles, cells = build_explanation(steps, second, size)
        console.show_table(titles, cells, whole=titles)
    console.say(f"Each line changes what those above it left; all numbers: {out / EXPLANATION}")
    told = ((*step.scores.list_uncounted(), *step.scores.list_notes()) for step in steps)
    for line in dict.fromkeys(chain.from_iterable(told)):
        console.say(line)
    console.show_result(describe_explanation(steps, second))


def show_scores(
    scores: list[Scores], baselines: list[Figures], folder: Path, style: Style | None
) -> None:
    """Write the report, and print its table."""
    from mcld.evaluate.publish import gather_table, write_table
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
        write_comparisons(folder / DIFFERENCES, compared)
    report = write_report(folder / REPORT, scores, baselines, compared)
    titles, cells = build_table(scores, baselines)
    for columns in console.split_columns(titles, fixed=2):
        console.show_table(
            [titles[k] for k in columns],
            [[row[k] for k in columns] for row in cells],
            whole=titles[:2],
        )
    protocol = scores[0].protocol
    console.say(f"Protocol {protocol.name}, {protocol.hash}")
    for line in chain.from_iterable((*s.list_uncounted(), *s.list_notes()) for s in scores):
        console.say(line)
    console.say(f"The report is {report}; it tells how the numbers are made.")
    result: dict[str, object] = {
        "report": report,
        "results": [each.describe() for each in scores],
        "differences": describe_comparisons(compared),
    }
    if style is None:
        console.show_result(result)
        return
    text = write_table(gather_table(scores, baselines), style)
    if not console.show_result(result | {"table": text}):
        console.show_text(text)


def _score_all(
    settings: Settings,
    requests: list[EvaluationRequest],
    listings: Sequence[dict[str, Listing] | None],
    caches: list[Path],
    protocol: Protocol,
    places: list[Path] | None = None,
) -> list[Scores]:
    """Score folder after folder, each part under a bar of its own.

    caches: where what is known of each picture is kept; places: where to write the scores.
    """
    with console.importing():
        from mcld.evaluate.run import Evaluator

    with console.StageProgress("pictures") as progress:

        def on_picture(stage: str, done: int, total: int) -> None:
            if total:
                progress.count(stage, done, total)

        evaluator = Evaluator(settings, say=console.say, on_picture=on_picture, protocol=protocol)
        all_scores = []
        for number, (request, listing) in enumerate(zip(requests, listings, strict=True)):
            scores = evaluator.score(request, listing, caches[number])
            if places and is_main():
                scores.write(places[number])
            all_scores.append(scores)
        return all_scores
