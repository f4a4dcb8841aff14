"""python -m benchmarks [NAME ...]; every figure is one JSON line, but for the demo's table."""

import argparse
from pathlib import Path

from benchmarks import random_weights, speed, train
from mcld.errors import MCLDError
from mcld_cli.console import quiet_libraries


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="name")
    commands.add_parser("render", help="mannequin pictures a second")
    commands.add_parser("texture", help="milliseconds to extract a texture map")
    commands.add_parser("prepare", help="photos a second through each stage of mcld prepare")
    commands.add_parser("sample", help="seconds to sample a picture with the embedded network")
    commands.add_parser("loader", help="training samples a second from the cache at 512x512")
    commands.add_parser("train", help="images a second and memory to train at full size (minutes)")
    random = commands.add_parser("random-weights", help="write random weights of the true shapes")
    random.add_argument("folder", type=Path, help="where; 14 GB")
    scores = commands.add_parser("mannequin", help="score the embedded network on new people")
    scores.add_argument("dataset", type=Path, help="a folder of `mcld prepare --mannequins`")
    scores.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    scores.add_argument("--pairs", type=int, default=24, help="how many pairs (default 24)")
    scores.add_argument("--weights", type=Path, help="a pipeline folder (default: the embedded)")
    scores.add_argument("--steps", type=int, help="denoising steps (default: the network's)")
    scores.add_argument("--guidance", type=float, help="guidance scale (default: the network's)")
    given = parser.parse_args()
    quiet_libraries()
    if given.name == "mannequin":
        from benchmarks import mannequin

        if given.pairs < 1:
            parser.error("--pairs must be at least 1")
        try:
            mannequin.score(
                given.dataset, given.out, given.pairs, given.weights, given.steps, given.guidance
            )
        except MCLDError as error:
            raise SystemExit(f"error: {error}") from error
        return
    if given.name == "random-weights":
        random_weights.write(given.folder)
        return
    if given.name == "train":
        for figure, value in train.train():
            speed.tell("train", figure, value)
        return
    for name, measure in speed.MEASURES.items():
        if given.name in (None, name):
            speed.report(name, measure)


if __name__ == "__main__":
    main()
