"""How long `mcld sample` takes from the shell prompt."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

_ROUNDS = 5


def sample() -> Iterator[tuple[str, float]]:
    """Seconds to a picture of the embedded network, beside those of importing torch.

    Every round runs each command once; the first fills the page cache, of the others the median
    counts. The photo is one of the examples of `mcld studio`, whose body is read.
    """
    from mcld.studio.machine import EXAMPLES

    with TemporaryDirectory() as folder:
        photo, pose = _prepare(Path(folder))
        mcld = [sys.executable, "-m", "mcld_cli", "sample", "--out", f"{folder}/out.png"]
        own = ["--source", str(EXAMPLES / "ada.jpg"), "--pose", "walking"]
        prepared = ["--source", photo, "--pose", pose]
        commands = {
            "import torch": [sys.executable, "-c", "import torch"],
            "a prepared picture": [*mcld, *prepared],
            "a photo, and a pose that comes along": [*mcld, *own],
            "a prepared picture, by PyTorch": [*mcld, *prepared, "--engine", "torch"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(_ROUNDS):
            for name, command in commands.items():
                start = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                times[name].append(time.perf_counter() - start)
    least = median(times["import torch"][1:])
    for name, seconds in times.items():
        taken = median(seconds[1:])
        yield f"from the shell prompt: {name}: seconds", round(taken, 2)
        yield f"from the shell prompt: {name}: of importing torch", round(taken / least, 2)


def _prepare(folder: Path) -> tuple[str, str]:
    """A picture of a prepared dataset, and another's map."""
    dataset = folder / "mannequin"
    subprocess.run(
        [sys.executable, "-m", "mcld_cli", "prepare", dataset, "--mannequins", "2"],
        check=True,
        capture_output=True,
    )
    return (
        str(min((dataset / "train").iterdir())),
        str(max((dataset / "train_densepose").iterdir())),
    )
