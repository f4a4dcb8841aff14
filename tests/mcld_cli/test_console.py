import contextlib
import io
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcld_cli import console


def watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is printed go to a terminal, as far as can be seen."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(console, "_is_watched", lambda _: True)


@given(message=st.text("abc []/\\=", min_size=1).map(str.strip).filter(bool))
def test_a_message_comes_out_as_it_is(message: str) -> None:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setenv("COLUMNS", "20")
        console.say(message)
    assert out.getvalue().strip() == message


def test_control_characters_of_a_file_name_are_shown_and_not_obeyed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.say("a\x1b[31mb\x07.png\ncaf\u00e9\t")
    console.show_error("a\x1b]0;b\x7f.png")
    told = capsys.readouterr()
    assert told.out.startswith("a\\x1b[31mb\\x07.png\ncaf\u00e9")
    assert told.err == "error: a\\x1b]0;b\\x7f.png\n"


def test_plain_progress_tells_the_end_and_the_note(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("Training", "images") as count:
        for done in range(0, 2001, 8):
            count(done, 2000, "loss 0.5")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Training: 2,000 of 2,000 images, ")
    assert lines[0].endswith(" images/s, loss 0.5")


def test_each_stage_is_counted_on_its_own_and_one_of_the_same_name_anew(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with console.StageProgress("pictures") as progress:
        for stage in ("pose", "face", "face"):
            for done in range(3):
                progress.count(stage, done, 2)
    lines = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert lines == [f"{stage}: 2 of 2 pictures" for stage in ("pose", "face", "face")]


def test_what_is_said_within_a_stage_stands_above_a_new_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(monkeypatch)
    with console.StageProgress("images") as progress:
        progress.count("Training", 1, 3)
        progress.close()
        drawn = capsys.readouterr().err
        assert "1/3" in drawn
        progress.count("Training", 2, 3)
    assert "2/3" in capsys.readouterr().err


def test_a_terminal_sees_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(monkeypatch)
    with console.progress("Sampling", "steps") as count:
        count(0, 20, "")
        count(20, 20, "")
    assert "20/20" in capsys.readouterr().err


def test_diffusers_does_not_load_what_only_the_8_bit_optimizer_needs():
    code = (
        "import sys; from mcld_cli import console; console.quiet_libraries();"
        "import mcld.pipeline; assert 'bitsandbytes' not in sys.modules;"
        "import bitsandbytes"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_encoders_are_imported_without_a_word_of_kernels_that_are_not_used():
    code = (
        "from mcld_cli import console\nwith console.importing():\n    import mcld.evaluate.encoders"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@given(st.lists(st.sampled_from(["ours", "Somebody et al. (2024)", "x [/red] y"]), min_size=1))
def test_a_table_wider_than_the_terminal_is_several_and_breaks_no_number(names: list[str]) -> None:
    titles = ["metric", "size", *names]
    rows = [["SSIM-256 ↑", "256", *(f"{k:02}.2345" for k in range(len(names)))]]
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setenv("COLUMNS", "80")
        patch.setattr(console, "_is_watched", lambda _: True)
        shown = list(console.split_columns(titles, fixed=2))
        for columns in shown:
            console.show_table(
                [titles[k] for k in columns], [[row[k] for k in columns] for row in rows]
            )
    assert [k for columns in shown for k in columns[2:]] == list(range(2, len(titles)))
    for k in range(len(names)):
        assert f"{k:02}.2345" in out.getvalue()
    assert ("[/red]" in out.getvalue()) == ("x [/red] y" in names)


def test_colours_in_a_file_do_not_make_it_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    path = "a/" * 100
    console.say(path)
    console.show_table(("name", "place"), [("one", path)])
    with console.progress("Sampling", "steps") as count:
        count(0, 20)
        count(20, 20)
    shown = capsys.readouterr()
    assert shown.out.count(path) == 2
    assert shown.err.startswith("Sampling: 20 of 20 steps")
    assert len(shown.err.splitlines()) == 1


def test_a_command_to_copy_survives_the_shell(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_command("mcld", "evaluate", "--save-path", Path("my res"), "it's")
    words = shlex.split(capsys.readouterr().out)
    assert words == ["mcld", "evaluate", "--save-path", "my res", "it's"]


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "PSNR ^ ... a -> b \\xe9 \\udce9"),
        ("cp1252", "PSNR ^ \u2026 a -> b \xe9 \\udce9"),
        ("utf-8", "PSNR \u2191 \u2026 a \u2192 b \xe9 \\udce9"),
    ],
)
def test_no_sign_fails_for_want_of_it_in_the_encoding(
    monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str
) -> None:
    out = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(out, encoding))
    console.fit_encoding()
    console.say("PSNR \u2191 \u2026 a \u2192 b \xe9 \udce9")
    assert out.getvalue().decode(encoding) == shown + "\n"


def test_no_time_left_is_told_before_it_means_something(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr(console, "_SECONDS_BETWEEN_LINES", 0.0)
    with console.progress("Preparing", "pictures") as count:
        # A process takes nine seconds to start, and each picture half a second then.
        for done, now in ((0, 0.0), (1, 9.0), (2, 9.5), (9, 13.0), (100, 58.5)):
            clock[0] = now
            count(done, 100)
    lines = capsys.readouterr().err.splitlines()
    assert [("left" in line) for line in lines] == [False, False, False, True, False]
    assert lines[3].endswith("2 pictures/s, 0:00:46 left")


def test_json_has_stdout_to_itself(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_result({"nothing": "without --json"})
    console.answer_in_json(True)
    try:
        console.say("a message")
        console.show_table(("a",), [(1,)])
        console.show_result({"path": Path("x"), "n": 1})
    finally:
        console.answer_in_json(False)
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"path": "x", "n": 1}
    assert "a message" in shown.err
