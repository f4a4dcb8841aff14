"""`mcld doctor`: what this machine can do, and what each missing thing would bring."""

from dataclasses import asdict

from mcld.doctor import find_abilities
from mcld.settings import load_settings
from mcld_cli import console
from mcld_cli.options import Config, Overrides


def doctor(config: Config = None, overrides: Overrides = None) -> None:
    """Show what this machine can do, and what each missing thing would bring.

    Nothing is changed, and nothing is looked up in a network.

    Example:

      mcld doctor
    """
    settings = load_settings(config, overrides)
    abilities = find_abilities(settings)
    console.show_table(
        ("what", "on this machine", "what would be better, and how"),
        [(a.what, a.here, a.better) for a in abilities],
        numbers=(),
    )
    console.show_result({"abilities": [asdict(ability) for ability in abilities]})
