import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def mcld(tmp_path: Path) -> Run:
    """Run the real command in an empty folder, without MCLD_* variables of the caller."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MCLD_")}

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mcld_cli", *arguments],
            cwd=tmp_path,
            env={**clean, "COLUMNS": "80", **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
