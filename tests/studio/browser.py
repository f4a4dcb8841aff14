"""What a person does on the studio's page, and reads from it."""

import base64
import io
import re
import shlex
import time

import numpy as np
import pytest
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright to drive a browser")


class expect:  # noqa: N801 - called as Playwright's own is
    """Playwright's expectations, looked at every few milliseconds: its own wait up to a second
    between two looks."""

    def __init__(self, locator) -> None:
        self.locator = locator

    def __getattr__(self, name: str):
        def await_it(*given, timeout: float = 15_000, **named) -> None:
            end = time.monotonic() + timeout / 1000
            while True:
                try:
                    return getattr(sync_api.expect(self.locator), name)(*given, **named, timeout=1)
                except AssertionError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.04)

        return await_it


IS_LAID = (
    "document.getElementById('texture').getContext('2d').getImageData(160, 330, 1, 1).data[3] > 0"
)
"""Whether the texture map lies on its canvas."""


def choose_example(page, name: str) -> None:
    page.locator("#examples").get_by_role("button", name=name).click()
    page.locator("#person-now", has_text=f"{name.lower()}.jpg").wait_for()


def choose_pose(page, name: str) -> None:
    page.locator("#poses").get_by_role("radio", name=name, exact=True).check()


def await_found(page) -> None:
    """Until all that was found in the person's photos is shown."""
    page.locator("#found-pictures img").nth(3).wait_for()


def paint(page) -> None:
    count = page.locator("#jobs li").count()
    page.locator("#paint").click()
    page.locator("#jobs li").nth(count).wait_for()
    await_picture(page)


def await_picture(page) -> None:
    """Until the newest of the history is painted."""
    newest = page.locator("#jobs li").first
    # Waited for by the frame; expect() looks but once a second.
    newest.locator(".small", has_text="synthetic").wait_for(timeout=60_000)
    newest.locator(".entry[aria-current=true]").wait_for()
    page.locator("#outcome").wait_for()


def read_picture(page, selector: str) -> np.ndarray:
    """The pixels of a picture as the page has them, uint8 [H, W, 3]."""
    drawn = page.locator(selector).evaluate(
        """async (image) => {
            await image.decode();
            const canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
            canvas.getContext("2d").drawImage(image, 0, 0);
            return canvas.toDataURL("image/png");
        }"""
    )
    content = base64.b64decode(drawn.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def result(page) -> np.ndarray:
    return read_picture(page, "#stage .after")


def command(page) -> str:
    """What the page says makes the same picture, without a shell's quotes."""
    return " ".join(shlex.split(page.locator("#command").inner_text()))


def differs(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape != other.shape or np.abs(one.astype(int) - other).mean() > 1


def pixel(page, x: int, y: int) -> list[int]:
    """Of the texture map that is painted on."""
    return page.evaluate(
        "([x, y]) => Array.from(document.getElementById('texture').getContext('2d')"
        ".getImageData(x, y, 1, 1).data.slice(0, 3))",
        [x, y],
    )


def stroke(page, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Draw over the texture map, from texel to texel."""
    box = page.locator("#texture").bounding_box()
    places = [
        (box["x"] + box["width"] * x / 512, box["y"] + box["height"] * y / 512)
        for x, y in (start, end)
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=5)
    page.mouse.up()


def middle(locator) -> tuple[float, float]:
    """Of what it shows in the window."""
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def find_joint(page, label: str) -> np.ndarray:
    """Where a joint's handle is, x and y in 0..1 of the figure's picture."""
    figure = page.locator("#skeleton").bounding_box()
    x, y = middle(page.get_by_role("slider", name=label, exact=True))
    return np.array([(x - figure["x"]) / figure["width"], (y - figure["y"]) / figure["height"]])


def await_that(page, holds) -> None:
    """Until something holds that the page says in numbers alone."""
    for _ in range(100):
        if holds():
            return
        page.wait_for_timeout(50)
    pytest.fail("it never came to hold")


def is_wider_than_its_window(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


def count_red(picture: np.ndarray) -> float:
    """The share of pixels that are plainly red."""
    red, green, blue = (picture[..., k].astype(int) for k in range(3))
    return float(np.mean((red > 150) & (green < 70) & (blue < 70)))


def ask_server(page, method: str, path: str = "", **given):
    """Ask for something of the page's session behind the page's back."""
    token = page.evaluate("sessionStorage.getItem('mcld-session')")
    root = re.match(r"https?://[^/]+", page.url)[0]
    return page.request.fetch(f"{root}/api/sessions/{token}{path}", method=method, **given)


def list_textures(page) -> list[str]:
    """Painted texture maps that the session keeps."""
    files = ask_server(page, "GET").json()["files"]
    return [file["id"] for file in files if file["kind"] == "texture"]


def is_replaced(files: list[str], before: list[str]) -> bool:
    return len(files) == 1 and files != before


def open_painting(page) -> None:
    page.get_by_role("button", name="Paint on the texture map").click()
    await_that(page, lambda: page.evaluate(IS_LAID))


def list_painted(page) -> list[dict]:
    """The session's jobs that are in the history."""
    return [job for job in ask_server(page, "GET").json()["jobs"] if job["kind"] != "person"]


def differs_by(one: np.ndarray, other: np.ndarray, least: float) -> bool:
    return bool(np.abs(one - other).max() > least)
