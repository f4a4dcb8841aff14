"""python -m benchmarks [NAME ...]; every figure is one JSON line, but for tables of scores."""

import argparse
import json
from pathlib import Path

from benchmarks import (
    body,
    densepose,
    evaluate,
    fit_body,
    full_size,
    random_weights,
    sample,
    speed,
    steps,
    studio,
    train,
)
from mcld.errors import MCLDError
from mcld_cli.console import quiet_libraries


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.set_defaults(run=_fast_ones)
    commands = parser.add_subparsers()
    for name, what in (
        ("render", "mannequin pictures a second"),
        ("texture", "milliseconds to extract a texture map"),
        ("prepare", "photos a second through each stage of mcld prepare"),
        ("evaluate", "pictures a second through PSNR and SSIM, beside scikit-image"),
        ("loader", "training samples a second from the cache at 512x512"),
    ):
        one = commands.add_parser(name, help=what)
        one.set_defaults(run=lambda _, name=name: speed.report(name, speed.MEASURES[name]))
    for name, figures, what in (
        ("sample", sample.sample, "seconds from the shell prompt to a picture"),
        ("studio", studio.measure, "seconds from a click to its answer"),
        ("train", train.train, "images a second and memory to train at full size (minutes)"),
    ):
        one = commands.add_parser(name, help=what)
        one.set_defaults(run=lambda _, name=name, figures=figures: _tell(name, figures()))
    reader = commands.add_parser("densepose", help="seconds to read a photo's pose, by parts")
    reader.add_argument("photos", type=Path, nargs="*", help="(default: two of the tests)")
    reader.add_argument("--weights", type=Path, help="DensePose's (default: random ones)")
    reader.add_argument("--runs", type=int, default=3, help="of which the median counts (3)")
    reader.set_defaults(run=lambda given: _tell("densepose", _densepose(given)))
    beside = commands.add_parser("evaluation", help="seconds to evaluate, beside the authors' code")
    beside.add_argument("checkout", type=Path, help="of jqliu09/MCLD")
    beside.add_argument("--pairs", type=int, default=30, help="how many pairs (default 30)")
    beside.add_argument("--training", type=int, default=40, help="training photos (default 40)")
    beside.set_defaults(
        run=lambda given: _tell(
            "evaluation", evaluate.measure(given.checkout, given.pairs, given.training)
        )
    )
    bodies = commands.add_parser(
        "body", help="the embedded reader of bodies, beside DensePose's maps"
    )
    bodies.add_argument("folder", type=Path, help="photos NAME.jpg with maps NAME.map.png")
    bodies.add_argument("--out", type=Path, help="a sheet of photos and both maps, PNG")
    bodies.set_defaults(run=lambda given: _tell("body", body.measure(given.folder, given.out)))
    fits = commands.add_parser("fit-body", help="poses in another's proportions, by the truth")
    fits.add_argument("--people", type=int, default=24, help="how many pairs (default 24)")
    fits.add_argument("--out", type=Path, help="a sheet of the maps, PNG")
    fits.set_defaults(
        run=lambda given: _tell("fit-body", fit_body.measure(given.people, given.out))
    )
    for name, measure, what in (
        ("steps", steps.steps, "what fewer denoising steps cost, by scheduler"),
        ("shortcuts", steps.shortcuts, "what guidance in an interval and DeepCache cost"),
    ):
        one = commands.add_parser(name, help=what)
        one.add_argument("dataset", type=Path, help="a prepared dataset with a test split")
        one.add_argument("--pairs", type=int, default=6, help="how many pairs (default 6)")
        one.add_argument("--weights", type=Path, help="a pipeline folder (default: the embedded)")
        one.add_argument("--guidance", type=float, help="guidance scale (default: the network's)")
        one.set_defaults(run=lambda given, measure=measure: _steps(given, measure))
    for name, measure, what in (
        ("gpu", full_size.gpu, "everything of full-size networks on a GPU, in one run"),
        ("cpu", full_size.cpu, "sampling by full-size networks on the CPU"),
    ):
        one = commands.add_parser(name, help=what)
        one.add_argument("--minutes", type=float, default=9, help="to measure in (default 9)")
        one.add_argument("--toy", action="store_true", help="small networks")
        one.set_defaults(
            run=lambda given, measure=measure: _lines(measure(given.minutes, given.toy))
        )
    random = commands.add_parser("random-weights", help="write random weights of the true shapes")
    random.add_argument("folder", type=Path, help="where; 14 GB")
    random.set_defaults(run=lambda given: random_weights.write(given.folder))
    scores = commands.add_parser("mannequin", help="score the embedded network on new people")
    scores.add_argument("dataset", type=Path, help="a folder of `mcld prepare --mannequins`")
    scores.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    scores.add_argument("--pairs", type=int, default=24, help="how many pairs (default 24)")
    scores.add_argument("--weights", type=Path, help="a pipeline folder (default: the embedded)")
    scores.add_argument("--steps", type=int, help="denoising steps (default: the network's)")
    scores.add_argument("--guidance", type=float, help="guidance scale (default: the network's)")
    scores.set_defaults(run=_scores)
    focal = commands.add_parser("focal", help="what each focal condition is worth: one left out")
    focal.add_argument("dataset", type=Path, help="a folder of `mcld prepare --mannequins`")
    focal.add_argument("--pairs", type=int, default=24, help="how many pairs (default 24)")
    focal.add_argument("--weights", type=Path, help="a pipeline folder (default: the embedded)")
    focal.set_defaults(run=_focal)
    views = commands.add_parser("views", help="what more photos of a person bring")
    views.add_argument("dataset", type=Path, help="a folder of `mcld prepare --mannequins`")
    views.add_argument("--weights", type=Path, help="a pipeline folder (default: the embedded)")
    views.set_defaults(run=_views)
    sequence = commands.add_parser("sequence", help="how steady sequences are, beside the truth")
    sequence.add_argument("--people", type=int, default=6, help="how many dolls (default 6)")
    sequence.add_argument("--frames", type=int, default=25, help="of each (default 25)")
    sequence.add_argument("--weights", type=Path, help="a pipeline folder (default: the embedded)")
    sequence.set_defaults(run=_sequence)
    photos = commands.add_parser("photos", help="real photos, in their own and each other's poses")
    photos.add_argument("folder", type=Path, help="photos NAME.jpg, with maps NAME.map.png or none")
    photos.add_argument(
        "--out", type=Path, default=Path("build/photos"), help="(default build/photos)"
    )
    photos.add_argument("--weights", type=Path, help="a pipeline folder (default: the embedded)")
    photos.set_defaults(run=_photos)
    edits = commands.add_parser("edit", help="score edits of new people against the truth")
    edits.add_argument("--out", type=Path, default=Path("build/edit"), help="(default build/edit)")
    edits.add_argument("--people", type=int, default=24, help="how many people (default 24)")
    edits.add_argument("--seed", type=int, default=1, help="of their world (default 1)")
    edits.add_argument("--weights", type=Path, help="a pipeline folder (default: the embedded)")
    edits.add_argument("--strength", type=float, help="as of mcld edit (default: the network's)")
    edits.set_defaults(run=_edits)
    metrics = commands.add_parser("metrics", help="what each metric notices: faults of true photos")
    metrics.add_argument(
        "--out", type=Path, default=Path("build/metrics"), help="(default build/metrics)"
    )
    metrics.add_argument("--people", type=int, default=6, help="how many people (default 6)")
    metrics.add_argument("--seed", type=int, default=1, help="of their world (default 1)")
    metrics.set_defaults(run=_metrics)
    given = parser.parse_args()
    for name in ("pairs", "people", "training", "runs"):
        if getattr(given, name, 1) < 1:
            parser.error(f"--{name} must be at least 1")
    quiet_libraries()
    try:
        given.run(given)
    except MCLDError as error:
        raise SystemExit(f"error: {error}") from error


def _fast_ones(_):
    for name, measure in speed.MEASURES.items():
        speed.report(name, measure)


def _tell(name, figures):
    for figure, value in figures:
        speed.tell(name, figure, value)


def _densepose(given):
    return densepose.measure(given.photos, given.weights, given.runs)


def _steps(given, measure):
    _lines(measure(given.dataset, given.pairs, given.weights, given.guidance))


def _lines(lines):
    for line in lines:
        print(json.dumps(line), flush=True)


def _edits(given):
    from benchmarks import edit

    edit.report(given.out, given.people, given.seed, given.weights, given.strength)


def _metrics(given):
    from benchmarks import metrics

    metrics.score(given.out, given.people, given.seed)


def _scores(given):
    from benchmarks import mannequin

    mannequin.score(
        given.dataset, given.out, given.pairs, given.weights, given.steps, given.guidance
    )


def _focal(given):
    from benchmarks import focal

    focal.score(given.dataset, given.pairs, given.weights)


def _views(given):
    from benchmarks import views

    views.score(given.dataset, given.weights)


def _sequence(given):
    from benchmarks import sequence

    sequence.score(given.people, given.frames, given.weights)


def _photos(given):
    from benchmarks import photos

    photos.score(given.folder, given.out, given.weights)


if __name__ == "__main__":
    main()
