"""The `mcld` command: its options, its commands, and how a run ends."""

import errno
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from mcld import __version__
from mcld.errors import MCLDError, SettingsError, StoppedError
from mcld.machine.files import expand_home
from mcld.machine.processes import is_main
from mcld_cli import console
from mcld_cli.doctor import doctor
from mcld_cli.edit import edit
from mcld_cli.evaluate import evaluate
from mcld_cli.export import export
from mcld_cli.options import Command, Group, answers_in_json
from mcld_cli.prepare import prepare
from mcld_cli.sample import sample
from mcld_cli.settings import settings
from mcld_cli.studio import studio
from mcld_cli.train import train
from mcld_cli.weights import weights

WRONG_USAGE, INTERRUPTED = SettingsError.exit_code, StoppedError.exit_code
SECONDS_FOR_MAIN_PROCESS = 5.0


def _show_unexpected(error: Exception, *, debug: bool) -> None:
    """Show a bug of ours, or a name that is too long, which turns up wherever it is used first."""
    if debug:
        traceback.print_exc()
    elif isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        console.show_error(f"cannot use {error.filename}: the name is too long")
    else:
        console.show_error(
            f"unexpected {type(error).__name__}: {error}; run again with --debug"
            " (`mcld --debug …`) to see the traceback; please report it"
        )


class _ErrorsInOneLine(Group):
    """Ends every run with one line and an exit code: 1 failed, 2 wrong usage, 130 interrupted."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MCLDError as error:
            if not is_main():
                # An error of all processes of a launcher is shown by the first alone; when that
                # ends, the launcher ends the others.
                time.sleep(SECONDS_FOR_MAIN_PROCESS)
            if is_main() or not isinstance(error, StoppedError):  # which all of them raise
                console.show_error(str(error))
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            if is_main():
                console.show_error("interrupted")
            raise typer.Exit(INTERRUPTED) from error
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if hasattr(error, "exit_code"):  # wrong usage, which Typer explains
                raise
            _show_unexpected(error, debug=bool(ctx.params.get("debug")))
            raise typer.Exit(1) from error


app = typer.Typer(
    name="mcld",
    cls=_ErrorsInOneLine,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        console.say(f"mcld {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of unexpected errors.")
    ] = False,
) -> None:
    """Repaint a person in a new pose.

    Multi-focal Conditioned Latent Diffusion (MCLD): the photo, the texture of the
    clothes and the face each go where they help; a DensePose map gives the pose.

    Start here:

      mcld prepare dataset/mannequin --mannequins 40

      mcld sample --source A.jpg --pose B.png --out out.png
    """


app.command(cls=Command)(answers_in_json(prepare))
app.command(cls=Command)(answers_in_json(train))
app.command(cls=Command)(answers_in_json(sample))
app.command(cls=Command)(answers_in_json(edit))
app.command(cls=Command)(answers_in_json(evaluate))
app.command(cls=Command)(answers_in_json(export))
app.command(cls=Command)(studio)
app.add_typer(weights, name="weights")
app.command(cls=Command)(answers_in_json(doctor))
app.command(cls=Command)(answers_in_json(settings))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _expand_home(word: str) -> str:
    """--out=~/a.png as --out ~/a.png: a shell expands ~ at the beginning of a word alone."""
    name, _, value = word.partition("=")
    return f"{name}={expand_home(Path(value))}" if word[:2] == "--" and value[:1] == "~" else word


def main() -> None:
    """Run the command line; the process exits with 0, 1, 2 or 130."""
    # A termination is an interruption: what is half written is removed on the way out.
    signal.signal(signal.SIGTERM, _interrupt)
    console.fit_encoding()
    # What PyTorch cannot compute on Apple's GPUs, the CPU does; it asks while it is imported.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    sys.argv[1:] = map(_expand_home, sys.argv[1:])
    try:
        code = app(prog_name="mcld", standalone_mode=False)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:  # whoever read the output has enough of it
        console.silence_stdout()
        raise SystemExit(1) from None
    except MCLDError as error:  # before any command has begun
        console.show_error(str(error))
        raise SystemExit(error.exit_code) from error
    except OSError as error:  # of what Typer prints, such as a help page
        console.silence_stdout()
        console.show_error(f"cannot write the output: {error.strerror}")
        raise SystemExit(1) from None
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        if message := error.format_message():  # empty where no command was given: help is shown
            stop = "" if message.endswith((".", "?")) else "."
            console.show_error(f"{message}{stop} See {error.ctx.command_path} --help")  # type: ignore[attr-defined]
        raise SystemExit(WRONG_USAGE) from error
    raise SystemExit(code or 0)
