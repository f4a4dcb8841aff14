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


def test_a_size_that_cannot_be_is_said_in_the_words_of_its_option(mcld: Run) -> None:
    for size in ("100x100", "0x0", "abc"):
        done = mcld("sample", *FILES, "--size", size)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: --size {size}: give height and width in pixels")


def test_one_picture_and_a_split_are_told_apart(mcld: Run) -> None:
    assert "--pose and --out are missing" in mcld("sample", "--source", "a.jpg").stderr
    assert "--save-path is missing" in mcld("sample", "--split", "test").stderr
    both = mcld("sample", *FILES, "--split", "test", "--save-path", "results")
    assert (both.returncode, both.stdout) == (2, "")
    assert "--source goes with one picture, not with --split" in both.stderr
