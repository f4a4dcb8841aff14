import subprocess
from collections.abc import Callable

Run = Callable[..., subprocess.CompletedProcess[str]]

FILES = ["--source", "a.jpg", "--pose", "b.png", "--out", "out.png"]


def test_a_flag_of_its_own_beats_set(in_process: Run) -> None:
    done = in_process("sample", *FILES, "--steps", "0", "--set", "sample.num_inference_steps=5")
    assert done.returncode == 2
    assert done.stderr == ("error: --steps 0: give a whole number from 1 and up to 1000\n")


def test_guidance_below_one_is_refused(in_process: Run) -> None:
    done = in_process("sample", *FILES, "--guidance", "0.5")
    assert done.returncode == 2
    assert "--guidance 0.5: give a number from 1\n" in done.stderr


def test_a_size_that_cannot_be_is_said_in_the_words_of_its_option(in_process: Run) -> None:
    for size in ("100x100", "0x0", "abc"):
        done = in_process("sample", *FILES, "--size", size)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: --size {size}: give height and width in pixels")


def test_a_size_is_a_height_and_a_width(in_process: Run) -> None:
    for size in ("4104x8", "8x4104"):
        done = in_process("sample", *FILES, "--size", size)
        assert done.returncode == 2
        assert done.stderr.startswith("error: --size 4104: give a whole number from 8")


def test_what_fast_chooses_is_not_chosen_beside_it(in_process: Run) -> None:
    for flags in (("--steps", "5"), ("--scheduler", "ddim")):
        done = in_process("sample", *FILES, "--fast", *flags)
        assert done.returncode == 2
        assert done.stderr == ("error: --fast chooses --steps and --scheduler: leave them out\n")


def test_one_picture_and_a_split_are_told_apart(in_process: Run) -> None:
    assert "--pose and --out are missing" in in_process("sample", "--source", "a.jpg").stderr
    assert "--save-path is missing" in in_process("sample", "--split", "test").stderr
    both = in_process("sample", *FILES, "--split", "test", "--save-path", "results")
    assert (both.returncode, both.stdout) == (2, "")
    assert "--source goes with one picture, not with --split" in both.stderr


def test_the_format_of_attention_maps_goes_with_them(in_process: Run) -> None:
    done = in_process("sample", *FILES, "--attention-format", "pdf")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: --attention-format goes with --attention-maps\n"


def test_onnx_asked_for_by_name_is_of_single_pictures(in_process: Run) -> None:
    split = ("--split", "test", "--save-path", "results")
    video = ("--source", "a.jpg", "--pose", "turn", "--out", "out.mp4")
    for what, said in ((split, "--split"), (video, "a sequence")):
        for how in (("--engine", "onnx"), ("--set", "sample.engine=onnx")):
            done = in_process("sample", *what, *how)
            assert done.returncode == 2
            assert done.stderr == f"error: --engine onnx goes with one picture, not with {said}\n"
