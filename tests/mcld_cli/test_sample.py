import subprocess
from collections.abc import Callable

Run = Callable[..., subprocess.CompletedProcess[str]]

FILES = ["--source", "a.jpg", "--pose", "b.png", "--out", "out.png"]


def test_a_flag_of_its_own_beats_set(mcld: Run) -> None:
    done = mcld("sample", *FILES, "--steps", "0", "--set", "sample.num_inference_steps=5")
    assert done.returncode == 2
    assert done.stderr == (
        "error: sample.num_inference_steps cannot be '0' (from the command line):"
        " give a whole number from 1 and up to 1000 or null\n"
    )


def test_guidance_below_one_is_refused(mcld: Run) -> None:
    done = mcld("sample", *FILES, "--guidance", "0.5")
    assert done.returncode == 2
    assert "sample.guidance_scale cannot be '0.5'" in done.stderr
