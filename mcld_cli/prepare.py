"""`mcld prepare`: make a dataset, of photos or of generated people."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcld.dataset.layout import GENERATED_FILE, SPLITS, DatasetLayout, parse_identity
from mcld.dataset.views import group_by_wearer
from mcld.errors import MCLDError, SettingsError
from mcld.machine.processes import is_main
from mcld.settings import PrepareSettings, load_settings
from mcld_cli import console
from mcld_cli.options import (
    Config,
    Overrides,
    Values,
    make_overrides,
    reading_options,
    refuse,
    setting_options,
    with_options,
)

if TYPE_CHECKING:
    from mcld.prepare.dataset import PrepareRequest
    from mcld.prepare.report import PrepareReport

_PHOTOS, _PEOPLE = "Photos", "Generated people"
_photo_option = partial(typer.Option, rich_help_panel=_PHOTOS)
_OF_PEOPLE = ("seed", "pictures", "height", "width", "style", "maps")

FLAGS = {
    **reading_options(_PHOTOS),
    **setting_options(_PEOPLE, **{name: f"prepare.{name}" for name in _OF_PEOPLE}),
    **setting_options(workers="prepare.workers"),
}


@with_options(flags=FLAGS)
def prepare(
    *,
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="Folder of the dataset.")],
    stages: Annotated[
        str | None,
        _photo_option(
            metavar="LIST", help="Which stages, in order. (default: split,pose,texture,face)"
        ),
    ] = None,
    split_dir: Annotated[
        Path | None,
        _photo_option(
            metavar="DIR",
            help="Folder of train.lst, test.lst, train.csv and test.csv."
            " (default: ROOT/split, then ROOT)",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        _photo_option(metavar="N", min=1, help="Only the first N pictures of each split."),
    ] = None,
    overwrite: Annotated[
        bool, _photo_option("--overwrite", help="Make again what is there already.")
    ] = False,
    gather: Annotated[
        bool | None,
        _photo_option(
            "--gather/--no-gather",
            help="Sample splits with texture maps that are gathered from all pictures of a person"
            " in the same clothes but the target. Who is who, names tell: ann_front, ann_back.",
        ),
    ] = None,
    strict: Annotated[
        bool, _photo_option("--strict", help="End with exit code 1 if anything failed.")
    ] = False,
    dry_run: Annotated[
        bool, _photo_option("--dry-run", help="Only say what would be done.")
    ] = False,
    mannequins: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=2,
            help="Generate so many people instead; one in ten is for testing.",
            rich_help_panel=_PEOPLE,
        ),
    ] = None,
    flags: Values,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Make a dataset: pictures, poses, textures, faces and pairs.

    ROOT holds photos of any names, or the unzipped img_highres of DeepFashion
    In-shop (MEN and WOMEN); or, with --mannequins, dressed figures are generated
    into it. A run that was broken off goes on where it stopped. In ROOT,
    prepare-report.json tells every picture that failed, and why;
    prepare-preview.png shows a few.

    Examples:

      mcld prepare my-photos

      mcld prepare dataset/fashion

      mcld prepare my-shop --gather

      mcld prepare dataset/fashion --limit 100 --pose-estimator precomputed

      mcld prepare dataset/mannequin --mannequins 40

      accelerate launch -m mcld_cli prepare dataset/fashion
    """
    settings = load_settings(config, make_overrides(flags, overrides)).prepare
    if mannequins is None:
        given = {f"--{name}": flags.get(f"prepare.{name}") for name in _OF_PEOPLE}
        refuse(given, "goes with --mannequins")
        from mcld.prepare.dataset import PrepareRequest

        if settings.pose_estimator == "precomputed":
            refuse(
                {"--person": flags.get("prepare.person")},
                "does not go with --pose-estimator precomputed",
            )
        request = PrepareRequest(root, _parse_stages(stages), split_dir, limit, overwrite)
        if dry_run:
            _show_plan(request, settings)
        else:
            generated = (root / GENERATED_FILE).exists()  # there is nothing to prepare
            if not (generated and gather is not None):
                _prepare_photos(request, settings, strict)
    else:
        photos = {
            "--stages": stages,
            "--split-dir": split_dir,
            "--pose-estimator": flags.get("prepare.pose_estimator"),
            "--person": flags.get("prepare.person"),
            "--limit": limit,
            "--overwrite": overwrite,
            "--strict": strict,
            "--dry-run": dry_run,
        }
        refuse(photos, "is for photos; generated people need none of it")
        _generate_people(root, mannequins, settings)
    if gather is not None and not dry_run and is_main():
        layout = DatasetLayout(root)
        layout.set_gathered(gather)
        _show_people(layout)


def _parse_stages(stages: str | None) -> tuple[str, ...]:
    from mcld.prepare.dataset import STAGES

    if stages is None:
        return STAGES
    chosen = [name.strip() for name in stages.split(",")]
    for name in chosen:
        if name not in STAGES:
            raise SettingsError(f"--stages: there is no stage {name!r}; give {','.join(STAGES)}")
    return tuple(chosen)


def _prepare_photos(request: "PrepareRequest", settings: PrepareSettings, strict: bool) -> None:
    from mcld.prepare.dataset import prepare_dataset

    with console.StageProgress("pictures") as progress:

        def on_progress(stage: str, done: int, total: int) -> None:
            if is_main() and total:
                progress.count(f"{stage:<7}", done, total)

        report = prepare_dataset(request, settings, on_progress)
    if is_main():
        _show_report(report, ("stage", "listed", "done", "skipped", "failed"))
        _show_files(request.root)
        if report.plain:
            console.say("Next:")
            console.show_command(
                *("mcld", "sample", "--split", "test", "--dataset", request.root),
                *("--save-path", "results"),
            )
        console.show_result({"dataset": request.root, **report.describe()})
    if strict and report.failures:
        raise MCLDError(
            f"{report.failures} failed, and --strict was given: see"
            f" {request.root / 'prepare-report.json'}"
        )


def _show_plan(request: "PrepareRequest", settings: PrepareSettings) -> None:
    from mcld.prepare.dataset import plan_dataset
    from mcld.prepare.readers import check_installed, choose_readers

    report = plan_dataset(request, settings)
    _show_report(report, ("stage", "listed", "to do", "there", "absent"))
    console.say("Nothing was written: --dry-run.")
    console.show_result({"dataset": request.root, **report.describe()})
    check_installed(request, settings, choose_readers(request, settings))


def _show_report(report: "PrepareReport", columns: tuple[str, ...]) -> None:
    console.show_table(
        columns,
        [(s.name, s.listed, s.done, s.skipped, len(s.failed)) for s in report.stages],
    )
    if reasons := report.count_reasons():
        console.show_table(
            ("what failed, and why", "how often"),
            [(f"{stage}: {reason}", count) for stage, reason, count in reasons],
        )
    if report.plain:
        console.say(
            f"Poses by the {report.estimators.get('pose_estimator')} estimator; the pairs are of"
            " each photo and the next one's pose."
        )
    elif not report.papers_split:
        console.say(
            "This is a split of our own by identity, not the paper's split: no published lists were"
            " given. Figures on it cannot stand beside published ones."
        )


def _show_people(layout: DatasetLayout) -> None:
    """Say how many pictures show the same person, for whom it is gathered."""
    if not layout.is_gathered:
        console.say("Every source's texture map is of its own picture alone.")
        return
    splits = [[Path(name).stem for name in layout.names(split)] for split in SPLITS]
    groups = [group for stems in splits for group in group_by_wearer(stems).values()]
    pictures = sum(map(len, splits))
    if len(groups) == pictures:
        console.say(
            "No two names say that they show one person in the same clothes (as ann_front and"
            " ann_back do): nothing will be gathered."
        )
    else:
        console.say(
            f"Texture maps are gathered when a split is sampled: {pictures:,} pictures show"
            f" {len(groups):,} people, by their names."
        )


def _show_files(root: Path) -> None:
    for name, what in (
        ("prepare-report.json", "every failure and its reason"),
        ("prepare-preview.png", "a few pictures, to check by eye"),
    ):
        if (root / name).exists():
            console.say(f"{root / name}: {what}")


def _generate_people(root: Path, mannequins: int, settings: PrepareSettings) -> None:
    from mcld.mannequin.prepare import prepare_mannequins

    with console.progress("Preparing", "pictures") as count:
        layout = prepare_mannequins(
            root,
            mannequins,
            seed=settings.seed,
            style=settings.style,
            maps=settings.maps,
            pictures=settings.pictures,
            size=(settings.height, settings.width),
            workers=settings.workers,
            on_picture=count,
        )
    splits = _count_splits(layout)
    console.show_table(
        ("split", "people", "pictures", "pairs"),
        [(split, *counts.values()) for split, counts in splits.items()],
    )
    source, pose = layout.pairs("test")[0]
    console.say(f"The dataset is in {root}. Next:")
    console.show_command(
        *("mcld", "sample", "--source", layout.image("test", Path(source).stem)),
        *("--pose", layout.densepose("test", Path(pose).stem), "--out", "out.png"),
    )
    console.show_result({"dataset": root, "splits": splits})


def _count_splits(layout: DatasetLayout) -> dict[str, dict[str, int]]:
    """Split -> how many people, pictures and pairs it has."""
    names = {split: layout.names(split) for split in SPLITS}
    return {
        split: {
            "people": len(set(map(parse_identity, names[split]))),
            "pictures": len(names[split]),
            "pairs": len(layout.pairs(split)),
        }
        for split in SPLITS
    }
