"""The errors a person can mend.

Each says what was wrong, where, and what to do, in one line. They are raised where the fact is
known and shown once, by the command line. Anything else that escapes is a bug of ours.
"""


class MCLDError(Exception):
    """A run cannot go on for a reason the user can act on. The process exits with `exit_code`."""

    exit_code = 1


class SettingsError(MCLDError):
    """A setting or an argument is unknown, of the wrong type, or impossible."""

    exit_code = 2


class InputError(MCLDError):
    """A picture, map, list or folder given as input is missing or cannot be used."""


class MapError(InputError):
    """An IUV map that cannot be used, or what somebody made of one: no photo, whatever it is."""


class WeightsError(MCLDError):
    """A weights file is missing, damaged, belongs to another network, or may not be used."""


class StoppedError(MCLDError):
    """A run was asked to stop, and has saved what it needs to go on."""

    exit_code = 130
