"""`mcld prepare`: make a dataset."""

from pathlib import Path
from typing import Annotated

import typer

from mcld_cli import console
from mcld_cli.options import Config, Overrides, overrides_of


def prepare(
    root: Annotated[Path, typer.Argument(help="Folder of the dataset.", show_default=False)],
    mannequins: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=2,
            help="How many people to generate; one in ten is for testing.",
            show_default=False,
        ),
    ],
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Which people: same seed, same bytes. (default 0)"),
    ] = None,
    pictures: Annotated[
        int | None, typer.Option(metavar="N", help="Pictures of each person. (default 8)")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes that work at once. (default 2)")
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Make a dataset: pictures, poses, textures, faces and pairs.

    The people are generated: dressed figures in several poses and views,
    each picture with a DensePose map that agrees with it exactly. A run that
    was broken off goes on where it stopped.

    Example:

      mcld prepare dataset/mannequin --mannequins 40
    """
    from mcld.dataset.layout import SPLITS, identity_of
    from mcld.prepare.mannequins import prepare_mannequins
    from mcld.settings import load_settings

    flags = {"prepare.seed": seed, "prepare.pictures": pictures, "prepare.workers": workers}
    wanted = load_settings(config, overrides_of(flags, overrides)).prepare
    with console.progress("Preparing", "pictures") as count:
        layout = prepare_mannequins(
            root,
            mannequins,
            seed=wanted.seed,
            pictures=wanted.pictures,
            workers=wanted.workers,
            on_picture=lambda done, total: count(done, total, ""),
        )
    names = {split: layout.names(split) for split in SPLITS}
    console.show_table(
        ("split", "people", "pictures", "pairs"),
        [
            (
                split,
                len(set(map(identity_of, names[split]))),
                len(names[split]),
                len(layout.pairs(split)),
            )
            for split in SPLITS
        ],
    )
    source, pose = layout.pairs("test")[0]
    console.say(f"The dataset is in {root}. Next:")
    console.say(
        f"  mcld sample --source {layout.image('test', Path(source).stem)}"
        f" --pose {layout.densepose('test', Path(pose).stem)} --out out.png"
    )
