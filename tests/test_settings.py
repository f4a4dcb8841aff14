from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcld.errors import SettingsError
from mcld.evaluate.baseline import read_baselines
from mcld.settings import Settings, known_settings, load_settings
from mcld.train.stages import read_stages

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def refusal(config: Path | None = None, *overrides: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, list(overrides))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_defaults_are_the_papers() -> None:
    settings = load_settings()
    assert settings.train.learning_rate == 1e-5
    assert settings.train.batch_size == 12
    assert settings.train.min_snr_gamma == 5.0
    assert settings.train.drop_rate == 0.1
    assert settings.train.images == 60_000 * 24
    assert settings.scheduler.beta_schedule == "linear"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_file_that_ships_is_valid(path: Path) -> None:
    if path.stem.endswith("recipe"):
        assert read_stages(path, [])
    elif path.stem.endswith("baselines"):
        assert all(figures.source for figures in read_baselines(path))
    else:
        load_settings(path)


def test_every_setting_is_described() -> None:
    for key, field in known_settings().items():
        assert field.description, key
        assert field.description.endswith("."), key


def test_the_command_line_beats_the_environment_beats_the_file_beats_the_default(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rate(*overrides: str) -> float:
        return load_settings(config, list(overrides)).train.learning_rate

    config.write_text("train:\n  seed: 7\n")
    assert rate() == 1e-5
    config.write_text("train:\n  seed: 7\n  learning_rate: 1e-4\n")
    assert rate() == 1e-4
    monkeypatch.setenv("MCLD_TRAIN__LEARNING_RATE", "2e-4")
    assert rate() == 2e-4
    assert rate("train.learning_rate=3e-4") == 3e-4
    assert load_settings(config).train.seed == 7


def test_the_last_of_two_overrides_counts() -> None:
    assert load_settings(None, ["train.seed=1", "train.seed=2"]).train.seed == 2


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().train.seed = 3


@pytest.mark.parametrize("text", ["", "# nothing\n", "train:\n", "train: {}\n"])
def test_a_file_may_say_nothing(config: Path, text: str) -> None:
    config.write_text(text)
    assert load_settings(config) == load_settings()


def test_no_is_a_precision_and_null_is_nothing(config: Path) -> None:
    config.write_text("train: {precision: no}\nsample: {height: null}\n")
    settings = load_settings(config, ["train.compile=true"])
    assert settings.train.precision == "no"
    assert settings.train.compile is True
    assert settings.sample.height is None
    assert load_settings(None, ["sample.height=null"]).sample.height is None


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("train.lerning_rate", "train.learning_rate"),
        ("learning_rate", "train.learning_rate"),
        ("trian.batch_size", "train.batch_size"),
        ("train.guidance_scale", "sample.guidance_scale"),
    ],
)
def test_an_unknown_key_is_told_the_nearest(
    key: str, nearest: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = f"there is no setting {key}; the nearest is {nearest}"
    assert refusal(None, f"{key}=1") == f"the command line: {told}"

    group, _, name = key.rpartition(".")
    config.write_text(f"{group}:\n  {name}: 1\n" if group else f"{name}: 1\n")
    assert refusal(config) == f"{config}: {told}"

    if group:  # of others it is not known whose they are
        variable = f"MCLD_{key.upper().replace('.', '__')}"
        monkeypatch.setenv(variable, "1")
        assert refusal() == f"the environment variable {variable}: {told}"


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (
            "train.batch_size=many",
            "train.batch_size cannot be 'many' (from the command line): give a",
        ),
        ("train.batch_size=0", "give a whole number above 0"),
        ("train.batch_size=", "train.batch_size cannot be ''"),
        ("train.learning_rate=nan", "give a number above 0 and up to 1"),
        ("train.timestep_shift=0", "give a number from 0.01 and up to 100"),
        ("train.timestep_shift=1e14", "give a number from 0.01 and up to 100"),
        ("train.max_grad_norm=inf", "give a number above 0"),
        ("train.learning_rate=[1, 2]", "train.learning_rate cannot be ['1', '2']"),
        ("train.precision=fp8", "give one of no, bf16, fp16"),
        ("train.compile=maybe", "give true or false"),
        (
            "mannequin.block_out_channels=[]",
            "give a list [a, b] of at least 1, each a whole number above 0",
        ),
        ("train.seed=null", "give a whole number from 0"),
        (
            "sample.height=100",
            "give a whole number from 8 and up to 4096 and divisible by 8 or null",
        ),
        ("train.width=80000", "give a whole number from 8 and up to 4096 and divisible by 8"),
        ("train.seed", "give KEY=VALUE"),
        ("=3", "give KEY=VALUE"),
        ("train=3", "train is a group; name a setting in it: dataset, "),
        ("train.seed=[1", "the value cannot be read"),
    ],
)
def test_an_impossible_value_is_told_what_is_allowed(override: str, told: str) -> None:
    assert told in refusal(None, override)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("train:\n  seed: 1\n  betas: [1\n", "mine.yaml, line 4: not YAML"),
        ("train:\n\tseed: 1\n", "mine.yaml, line 2: not YAML"),
        ("- 1\n", "mine.yaml: must hold groups of settings"),
        ("train: 3\n", "mine.yaml: train is a group"),
        ("train: {seed: -1}\n", "train.seed cannot be '-1' (from "),
        ("train: {seed: {a: 1}}\n", "train.seed cannot be {'a': '1'}"),
        ("1: 2\n", "there is no setting 1"),
        ("\0", "mine.yaml: not YAML"),
    ],
)
def test_a_broken_file_is_told_where(config: Path, text: str, told: str) -> None:
    config.write_text(text)
    assert told in refusal(config)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert (
        refusal(tmp_path / "no.yaml")
        == f"{tmp_path}/no.yaml: no such file; --config takes a YAML file"
    )
    assert "cannot be read" in refusal(tmp_path)


def test_a_group_in_the_environment_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCLD_TRAIN", '{"learning_rate": 0.5}')
    assert load_settings().train.learning_rate == 0.5
    monkeypatch.setenv("MCLD_TRAIN", '{"learningrate": 0.5}')
    assert "the nearest is train.learning_rate" in refusal()
    monkeypatch.setenv("MCLD_TRAIN", "{")
    assert refusal() == "the environment variable MCLD_TRAIN: the value '{' cannot be read"


def test_a_list_in_the_environment_is_read_as_that_of_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("[tensorboard, mlflow]", '["tensorboard", "mlflow"]'):
        monkeypatch.setenv("MCLD_TRAIN__TRACKERS", text)
        assert load_settings().train.trackers == ("tensorboard", "mlflow")
    monkeypatch.setenv("MCLD_TRAIN__TRACKERS", "tensorboard,wandb")
    assert refusal() == (
        "train.trackers cannot be 'tensorboard,wandb' (from the environment variable"
        " MCLD_TRAIN__TRACKERS): give a list [a, b], each one of tensorboard, wandb, mlflow"
    )


def test_a_variable_of_somebody_else_is_said_and_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MCLD_PORT", "tcp://10.3.104.46:80")  # as a cluster sets it
    monkeypatch.setenv("MCLD_SERVICE_HOST", "10.3.104.46")
    assert load_settings() == Settings()
    assert "the environment variable MCLD_PORT" in caplog.text
    assert "left alone" in caplog.text


def test_a_hint_is_given_only_where_something_is_near() -> None:
    assert "the nearest is" not in refusal(None, "qqqq.zzzz=1")
    assert "see `mcld settings`" in refusal(None, "qqqq.zzzz=1")


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    config.write_text("train: {dataset: ~/data, output: ~/runs/first}\n")
    settings = load_settings(config, ["sample.pretrained=~/weights"])
    assert settings.train.dataset == Path("/somewhere/data")
    assert settings.train.output == Path("/somewhere/runs/first")
    assert settings.sample.pretrained == Path("/somewhere/weights")
    assert settings.prepare.insightface_root == Path("/somewhere/.insightface")


@given(rate=st.floats(1e-30, 1), seed=st.integers(0, 2**63 - 1))
def test_every_possible_value_arrives_as_given(rate: float, seed: int) -> None:
    settings = load_settings(None, [f"train.learning_rate={rate!r}", f"train.seed={seed}"])
    assert (settings.train.learning_rate, settings.train.seed) == (rate, seed)


@given(override=st.text().filter(lambda text: text.partition("=")[0] not in known_settings()))
def test_nonsense_is_refused_in_one_line(override: str) -> None:
    assert len(refusal(None, override).splitlines()) == 1
