import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.text import Text

from mcld.settings import known_settings, load_settings
from mcld_cli import console

Run = Callable[..., subprocess.CompletedProcess[str]]
PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_every_setting_is_shown_with_its_value_and_what_it_takes(in_process: Run) -> None:
    shown = in_process("settings").stdout
    for key, field in known_settings().items():
        name = key.partition(".")[2]
        assert f"─ {name}: " in shown
        assert field.description in shown
    assert "learning_rate: 1.0e-05 (default)\n" in shown
    assert "A number above 0 and up to 1." in shown


def test_a_value_names_where_it_comes_from(in_process: Run, tmp_path: Path) -> None:
    config = tmp_path / f"{'long/' * 30}mine.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("train: {images: 5, seed: 1, keep: 3}\n")
    sources = {"MCLD_TRAIN__SEED": "2", "MCLD_TRAIN__KEEP": "4"}
    done = in_process("settings", "train", "--config", str(config), "--set=train.keep=5", **sources)
    assert f"images: 5 (from {config}; default: 1440000)\n" in done.stdout  # whole, in a pipe
    assert "seed: 2 (from the environment variable MCLD_TRAIN__SEED; default: 0)\n" in done.stdout
    assert "keep: 5 (from the command line; default: 2)\n" in done.stdout
    assert "batch_size: 12 (default)\n" in done.stdout


def test_a_terminal_of_eighty_columns_shows_everything(
    in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_is_watched", lambda _: True)
    lines = Text.from_ansi(in_process("settings", TTY_COMPATIBLE="1").stdout).plain.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "shown"),
    [("train.seed", {"train": ["seed"]}), ("edit", {"edit": ["strength"]})],
)
def test_a_name_chooses(in_process: Run, name: str, shown: dict[str, list[str]]) -> None:
    lines = in_process("settings", name, "--format", "yaml").stdout.splitlines()
    code = [line for line in lines if line and not line.lstrip().startswith("#")]
    ((group, names),) = shown.items()
    assert [line.partition(":")[0].strip() for line in code] == [group, *names]


def test_an_unknown_name_is_told_the_nearest(in_process: Run) -> None:
    for name, nearest in {"trian": "train", "train.sed": "train.seed"}.items():
        done = in_process("settings", name)
        assert done.returncode == 2
        assert f"there is no setting {name}; the nearest is {nearest}\n" in done.stderr


def test_the_yaml_is_a_settings_file_that_says_the_same(in_process: Run, tmp_path: Path) -> None:
    changes = [
        *("train.output=a # b: c", "train.cache='null'", "train.frozen=['', no, '1, 2']"),
        *("train.precision=no", "train.learning_rate=3e-7", "sample.height=null"),
    ]
    sets = [f"--set={change}" for change in changes]
    written = in_process("settings", "--format", "yaml", *sets).stdout
    config = tmp_path / "mine.yaml"
    config.write_text(written)
    assert load_settings(config) == load_settings(None, changes)
    assert "  # AdamW's learning rate. A number above 0 and up to 1. From the command" in written


def test_the_schema_describes_every_setting_and_its_limits(in_process: Run) -> None:
    schema = json.loads(in_process("settings", "--format", "json-schema").stdout)

    def resolve(group: str) -> dict:
        return schema["$defs"][schema["properties"][group]["$ref"].rpartition("/")[2]]["properties"]

    for key, field in known_settings().items():
        group, _, name = key.partition(".")
        assert resolve(group)[name]["description"] == field.description
    assert resolve("train")["batch_size"]["exclusiveMinimum"] == 0
    assert resolve("train")["precision"]["enum"] == ["no", "bf16", "fp16"]


def test_schema_and_page_are_of_all_settings(in_process: Run) -> None:
    for what in ("json-schema", "markdown"):
        done = in_process("settings", "train", "--format", what)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"--format {what} is of all settings: leave train out" in done.stderr


def test_the_docs_page_is_what_the_code_says(in_process: Run) -> None:
    page = in_process("settings", "--format", "markdown", MCLD_TRAIN__SEED="3").stdout
    assert page == PAGE.read_text(), "mcld settings --format markdown > docs/settings.md"
