"""`mcld studio`: the page on which people try, pose, dress and compare."""

import webbrowser
from pathlib import Path
from threading import Thread
from typing import Annotated

import typer

from mcld.errors import MCLDError
from mcld.studio.address import LOCAL, open_socket
from mcld_cli import console
from mcld_cli.options import (
    HOW,
    Config,
    Overrides,
    Values,
    check_weights,
    make_overrides,
    reading_options,
    setting_options,
    with_options,
)

FLAGS = {
    **reading_options("Photos"),
    **setting_options(
        HOW,
        dtype="sample.dtype",
        device="sample.device",
        compile="sample.compile",
        low_memory="sample.low_memory",
    ),
}


@with_options(flags=FLAGS)
def studio(
    *,
    host: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Address to listen at: another than this machine's own lets others in.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="Port; 0 takes a free one.")
    ] = 7860,
    browser: Annotated[
        bool, typer.Option(help="Open the page in the browser, or print its address alone.")
    ] = True,
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="A network to choose, as in mcld sample. May be repeated; what else is on this"
            " machine can be chosen, too.",
            rich_help_panel=HOW,
        ),
    ] = None,
    flags: Values,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Open a page in the browser on which people are posed, dressed and compared.

    It is served by this machine, to this machine alone, until Ctrl-C; nothing
    leaves it. Photos that are given lie in a folder of their own, which is
    removed with the page's session.

    Examples:

      mcld studio

      mcld studio --port 8000 --no-browser

      mcld studio --weights runs/mine/pipeline
    """
    for folder in weights or []:
        check_weights(folder)
    listening = open_socket(host, port)
    with console.importing_diffusers():
        try:
            import python_multipart  # noqa: F401  # which FastAPI asks for late

            from mcld.studio.server import run_studio
        except ModuleNotFoundError as error:
            if error.name not in ("fastapi", "uvicorn", "python_multipart"):
                raise
            raise MCLDError(
                "the studio needs FastAPI, uvicorn and python-multipart: pip install 'mcld[studio]'"
            ) from error
        from mcld.studio.networks import Networks
    networks = Networks(config, make_overrides(flags, overrides), weights or [])
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}"

    def tell() -> None:
        console.say(f"mcld studio: {address}")
        if host not in LOCAL:
            console.say("Whoever reaches this address can use it.")
        console.say("Ctrl-C ends it.")
        if browser:
            Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    run_studio(networks, listening, host, on_ready=tell)
    console.say("Ended; the files of its pages are removed.")
