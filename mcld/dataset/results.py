"""The folder of results: what sampling writes and evaluation reads.

<save path>/256/<from>_2_<to>.png    176x256
<save path>/512/<from>_2_<to>.png    352x512
<save path>/settings.json            how they were made
"""

from pathlib import Path

RESULT_SIZES = {"256": (256, 176), "512": (512, 352)}
"""Folder of the results -> (height, width) of its pictures."""
SETTINGS_FILE = "settings.json"


def result_name(source: str, target: str) -> str:
    """The file name of a pair's picture; source, target: stems of flat names."""
    return f"{source}_2_{target}.png"


def result_file(save_path: Path, folder: str, source: str, target: str) -> Path:
    """The picture of a pair. folder: a key of `RESULT_SIZES`."""
    return save_path / folder / result_name(source, target)
