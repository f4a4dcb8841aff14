"""The studio as people have it: the real server, and its page in a real browser."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mcld.body.parameters import MOTIONS

pytest.importorskip("fastapi", reason="the studio's packages are not installed")
pytest.importorskip("playwright", reason="no Playwright to drive a browser")

_BODIES = 10
"""Of a motion that takes some seconds to paint."""


@pytest.fixture(scope="session")
def studio(tmp_path_factory) -> Iterator[str]:
    """The address of a studio that runs while the tests do."""
    log = tmp_path_factory.mktemp("studio") / "log.txt"
    # Few motions, cut short, or tests would wait for all their poses to be drawn.
    for file in (MOTIONS / "sit.npz", MOTIONS / "walk.npz"):
        arrays = np.load(file)
        short = {
            name: arrays[name][:_BODIES] if arrays[name].ndim else arrays[name] for name in arrays
        }
        np.savez(log.with_name(file.name), **short)
    start = (
        f"import pathlib, mcld.body.parameters as p; p.MOTIONS = pathlib.Path({str(log.parent)!r})"
    )
    start += "; from mcld_cli.app import main; main()"
    command = [sys.executable, "-c", start, "studio", "--port", "0", "--no-browser"]
    command += ["--set", "sample.batch_size=2"]  # so that the first frames come soon
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as server,
    ):
        assert server.stdout is not None
        said = ""
        for line in server.stdout:
            said += line
            if address := re.search(r"http://\S+", line):
                break
        else:
            pytest.fail(f"the studio did not start: {said}{log.read_text()}")
        yield address[0]
        server.terminate()


@pytest.fixture(scope="session")
def contexts(browser) -> Iterator[dict]:
    """Of the browser, by what they differ in. Each page in one has a session of its own."""
    kept: dict = {}
    yield kept
    for context in kept.values():
        context.close()


@pytest.fixture
def open_page(studio, browser, contexts) -> Iterator[object]:
    """Opens the page as one more person would; nothing may go wrong in it that was not foreseen."""
    pages, wrong = [], []

    def listen(page, foreseen: str | None) -> None:
        def note(what: str) -> None:
            if foreseen is None or not re.search(foreseen, what):
                wrong.append(what)

        page.on(
            "console", lambda said: said.type in ("error", "warning") and note(f"said {said.text}")
        )
        page.on("pageerror", lambda error: note(f"threw {error}"))
        page.on(
            "response",
            lambda answer: answer.status >= 400 and note(f"{answer.status} {answer.url}"),
        )
        page.on(
            "requestfailed",
            # A picture that is replaced before it came is given up, and that is well.
            lambda asked: (
                "ERR_ABORTED" not in asked.failure and note(f"{asked.failure} {asked.url}")
            ),
        )

    def open_one(width=1280, height=900, foreseen: str | None = None, motion="reduce"):
        """foreseen: what may go wrong, a pattern. motion: "reduce", or "no-preference"."""
        kind = (width, height, motion)
        if kind not in contexts:
            contexts[kind] = context = browser.new_context(
                viewport={"width": width, "height": height}, reduced_motion=motion
            )
            context.grant_permissions(["clipboard-read", "clipboard-write"])
            context.set_default_timeout(20_000)
        page = contexts[kind].new_page()
        pages.append(page)
        listen(page, foreseen)
        page.goto(studio)
        page.locator("#poses label").first.wait_for(timeout=20_000)
        return page

    yield open_one
    for page in pages:
        page.close()
    assert not wrong


@pytest.fixture
def photos() -> list[Path]:
    """Photos of two generated people, as files."""
    from mcld.studio.machine import EXAMPLES

    return sorted(EXAMPLES.glob("*.jpg"))[:2]
