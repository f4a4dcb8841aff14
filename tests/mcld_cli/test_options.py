from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from mcld.edit.options import DONORS
from mcld.edit.texture import GROUPS
from mcld.errors import SettingsError
from mcld.settings import Override, load_settings
from mcld_cli.options import Values, make_overrides, setting_options, with_options

FLAGS = setting_options(rate="train.learning_rate", seed="train.seed", compile="train.compile")


def given(*arguments: str) -> Values:
    """What a command gets of options that are made from settings."""
    app, got = typer.Typer(add_completion=False), []

    @app.command()
    @with_options(flags=FLAGS)
    def command(*, flags: Values, folder: Annotated[str, typer.Option()] = "here") -> None:
        got.append((flags, folder))

    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    [(flags, folder)] = got
    assert folder == "here"
    return flags


def test_what_is_given_comes_under_the_settings_key_and_nothing_else_does() -> None:
    assert given() == {}
    assert given("--seed", "0", "--compile") == {"train.seed": 0, "train.compile": True}
    assert given("--rate", "1e-5") == {"train.learning_rate": 1e-5}


def test_a_flag_of_its_own_comes_after_set() -> None:
    given = make_overrides({"train.seed": 0}, ["train.seed=5"])
    assert given == ["train.seed=5", Override("--seed", "train.seed", 0)]
    assert load_settings(None, given).train.seed == 0


def test_a_value_that_cannot_be_names_the_option_it_was_given_by() -> None:
    given = make_overrides({"train.learning_rate": -1.0}, None)
    with pytest.raises(SettingsError, match=r"^--rate -1.0: give a number above 0"):
        load_settings(None, given)


def test_an_options_value_is_taken_as_it_is() -> None:
    for name in ("null", "[a, b]", "a: b", "# no comment"):
        given = make_overrides({"sample.dataset": name}, None)
        assert load_settings(None, given).sample.dataset == Path(name)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("sample.seed", "Seed of the starting noise. (default: 0)"),
        ("sample.device", "Such as cuda:1, mps or cpu. (default: a GPU where there is one)"),
        ("train.lr_schedule", "falls to zero. One of constant, cosine. (default: constant)"),
        ("train.compile", "Compile the network before training."),
    ],
)
def test_an_option_is_described_as_its_setting_is(key: str, text: str) -> None:
    [parameter] = setting_options(name=key).values()
    [declared] = parameter.annotation.__metadata__
    assert declared.help.endswith(text)


def test_whatever_can_be_edited_can_be_taken_from_another_photo() -> None:
    assert set(DONORS) == {"face", *GROUPS}


def test_a_folder_without_a_network_is_told_before_a_photo_is_read(in_process, tmp_path):
    (tmp_path / "empty").mkdir()
    arguments = ("--source", "no.jpg", "--pose", "walking", "--out", "out.png")
    ran = in_process("sample", "--weights", "empty", *arguments)
    assert ran.returncode == 1
    assert "error: empty holds no network: give a pipeline folder" in ran.stderr


def test_a_guidance_interval_that_is_none_is_told_with_the_settings(in_process):
    ran = in_process("settings", "sample", "--set", "sample.guidance_interval=[0.8, 0.2]")
    assert ran.returncode == 2
    assert "give the lower share of the noise schedule first" in ran.stderr
