"""YAML files that people write."""

from pathlib import Path
from typing import Any

import yaml

from mcld.errors import SettingsError

NULL = "null"


class _Loader(yaml.BaseLoader):
    """YAML whose scalars stay as written, and whose keys stand for themselves once.

    What a value may mean is for who reads it: `1e-5` is a number and `no` a precision, in a file as
    in the environment and on the command line. Other loaders take 0:1:7 for a time, and of a key
    that is given twice the last.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"{key.value} is given twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _null(loader: _Loader, node: yaml.ScalarNode) -> str | None:
    text = str(loader.construct_scalar(node))
    return None if node.style is None and text in ("", "~", NULL) else text


_Loader.add_constructor("tag:yaml.org,2002:str", _null)


def read_yaml(path: Path, option: str) -> Any:
    """What a YAML file holds: texts, None, and lists and dictionaries of them.

    option: what takes the file, such as --config. Raises SettingsError when it cannot be read, is
    not YAML, or gives a key twice.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: no such file; {option} takes a YAML file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise SettingsError(f"{path}{where}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not YAML: {' '.join(str(error).split())}") from error


def parse_yaml(text: str) -> Any:
    """The same of a text. Raises yaml.YAMLError."""
    return yaml.load(text, _Loader)  # noqa: S506 - builds only strings, lists and dicts
