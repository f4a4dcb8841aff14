"""How long the studio's answers take, over HTTP on the machine itself."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter, sleep
from typing import Any

import requests

RUNS = 7
Figures = Iterator[tuple[str, float]]


def measure() -> Figures:
    """Seconds, the median of several: from a click to its answer."""
    begun = perf_counter()
    command = [sys.executable, "-m", "mcld_cli", "studio", "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            assert found is not None
            yield "start to page, s", perf_counter() - begun
            yield from _use(found[0])
        finally:
            server.terminate()


def _use(address: str) -> Figures:
    client = requests.Session()
    token = client.post(f"{address}/api/sessions", timeout=60).json()["session"]
    session = f"{address}/api/sessions/{token}"

    def ask(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = client.post(session + path, json=body, timeout=60)
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    def finish(path: str, body: dict[str, Any]) -> None:
        job = ask(path, body)["job"]
        while job["state"] in ("queued", "running"):
            sleep(0.01)
            job = client.get(f"{session}/jobs/{job['id']}", timeout=60).json()["job"]
        assert job["state"] == "done", job["error"]

    for name in ("ada", "ben", "cleo"):
        ask("/examples", {"example": name})
    asked = {"kind": "picture", "source": ["ada.jpg"], "pose": "walking"}
    yield "first picture, network and person read, s", _time(lambda: finish("/jobs", asked))
    yield "another picture, s", _time(lambda: finish("/jobs", asked), RUNS)
    dressed = {"kind": "picture", "source": ["ada.jpg"], "edits": {"upper": "cleo.jpg"}}
    finish("/jobs", dressed)
    yield "a picture in another shirt, s", _time(lambda: finish("/jobs", dressed), RUNS)
    yield "a person read of a photo, s", _time(lambda: finish("/people", {"photos": ["ben.jpg"]}))
    preview = {"source": ["ada.jpg"], "edits": {"recolor": {"upper": "#3060a0"}}}
    yield "a recolour pasted, s", _time(lambda: ask("/preview", preview), RUNS)
    begun = ask("/pose", {"start": "walking"})
    kept = {name: begun[name] for name in ("rotations", "orientation", "camera")}
    drag = {"drag": {"handle": "L_Wrist", "x": 0.8, "y": 0.3}, **kept}
    yield "a joint dragged, s", _time(lambda: ask("/pose", drag), RUNS)
    del kept["camera"]
    yield "the camera turned, s", _time(lambda: ask("/pose", {**kept, "turn": 40.0}), RUNS)


def _time(work: Callable[[], object], runs: int = 1) -> float:
    seconds = []
    for _ in range(runs):
        begun = perf_counter()
        work()
        seconds.append(perf_counter() - begun)
    return median(seconds)
