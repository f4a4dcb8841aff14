"""Mix what training changes in two networks of one shape (Wortsman et al., 2109.01903).

    python scripts/mix_weights.py FIRST SECOND 0.35 OUT

writes the pipeline folder OUT: FIRST, with its weights a share of the way to those of SECOND.
Autoencoder and image encoder stay as they are in FIRST, and so does a refiner of another shape.
"""

import argparse
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

TRAINED = ("denoising_unet", "reference_unet", "pose_guider", "image_projector", "refiner")
FILE = "diffusion_pytorch_model.safetensors"


def mix_weights(first: Path, second: Path, share: float, out: Path) -> None:
    """Write the mixture, in the precision of the first; `out` must not exist."""
    shutil.copytree(first, out)
    for part in TRAINED:
        files = [folder / part / FILE for folder in (first, second)]
        if part == "refiner" and not all(file.exists() for file in files):
            continue
        ours, theirs = map(load_file, files)
        same = ours.keys() == theirs.keys()
        same = same and all(w.shape == theirs[n].shape for n, w in ours.items())
        if part == "refiner" and not same:
            continue
        if not same:
            raise SystemExit(f"the {part} of {first} and of {second} are of different networks")
        mixed = {
            name: (weight.float() * (1 - share) + theirs[name].float() * share).to(weight.dtype)
            for name, weight in ours.items()
        }
        save_file(mixed, out / part / FILE, metadata={"format": "pt"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for name in ("first", "second"):
        parser.add_argument(name, type=Path, help="a pipeline folder")
    parser.add_argument("share", type=float, help="0 gives the first, 1 the second")
    parser.add_argument("out", type=Path, help="a new pipeline folder")
    given = parser.parse_args()
    mix_weights(given.first, given.second, given.share, given.out)
