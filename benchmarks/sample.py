"""How long `mcld sample` takes from the shell prompt."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory


def sample() -> Iterator[tuple[str, float]]:
    """Seconds to a picture of the embedded network, beside those of importing torch."""
    with TemporaryDirectory() as folder:
        yield "from the shell prompt to the picture: seconds", _from_the_prompt(folder)


def _from_the_prompt(folder: str) -> float:
    """The median of three runs of `mcld sample`, after one that fills the page cache."""
    dataset = Path(folder) / "mannequin"
    subprocess.run(
        [sys.executable, "-m", "mcld_cli", "prepare", dataset, "--mannequins", "2"],
        check=True,
        capture_output=True,
    )
    source = min((dataset / "train").iterdir())
    pose = max((dataset / "train_densepose").iterdir())
    out = Path(folder) / "out.png"
    command = [sys.executable, "-m", "mcld_cli", "sample", "--source", source, "--pose", pose]
    times = []
    for _ in range(4):
        start = time.perf_counter()
        subprocess.run([*command, "--out", out], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return round(sorted(times[1:])[1], 2)
