"""Makes the example people of the studio: mcld/studio/examples, photos of generated people.

.venv/bin/python scripts/make_examples.py
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TARGET = Path(__file__).parents[1] / "mcld" / "studio" / "examples"
CHOSEN = {
    "ada": "WOMEN-09-01",
    "ben": "MEN-03-01",
    "cleo": "WOMEN-04-01",
    "dora": "WOMEN-02-04",
    "emma": "WOMEN-07-01",
    "fay": "WOMEN-01-01",
}
"""Name -> whose picture, and which: whole figures, seen from the front."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = ["--mannequins", "16", "--pictures", "4", "--seed", "77"]
        size = ["--height", "512", "--width", "352"]
        command = [sys.executable, "-m", "mcld_cli", "prepare", folder, *made, *size]
        subprocess.run(command, check=True)
        TARGET.mkdir(exist_ok=True)
        for name, chosen in CHOSEN.items():
            who, person, picture = chosen.split("-")
            stem = f"fashion{who}Mannequinsid000000{person}{picture}_1front"
            (found,) = Path(folder).glob(f"*/{stem}.jpg")
            shutil.copyfile(found, TARGET / f"{name}.jpg")


if __name__ == "__main__":
    main()
