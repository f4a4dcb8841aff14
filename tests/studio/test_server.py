"""What the studio's server answers, without a browser."""

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import requests
from fastapi.testclient import TestClient
from PIL import Image

from mcld.body.parameters import MOTIONS, list_motions, read_body
from mcld.dataset.pictures import read_iuv
from mcld.errors import SettingsError, WeightsError
from mcld.machine.provenance import GENERATED
from mcld.networks.places import EMBEDDED as EMBEDDED_FOLDER
from mcld.studio.address import LOCAL, open_socket
from mcld.studio.export import describe_sequence
from mcld.studio.guard import Guard
from mcld.studio.jobs import Queue
from mcld.studio.machine import EXAMPLES
from mcld.studio.networks import Networks
from mcld.studio.requests import SequenceRequest
from mcld.studio.server import find_reports, make_app
from mcld.studio.session import UPLOAD, Sessions
from mcld.studio.work import Studio

HOST = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The studio with its embedded network, and its sessions' folder."""
    root = tmp_path_factory.mktemp("pages")
    queue, pages = Queue(), Sessions(root)
    report = root / "report.html"
    report.write_text("<p>scores")
    studio = Studio(Networks(None, [], []), queue)
    queue.start(studio.load)
    app = Guard(make_app(studio, pages, [report]), LOCAL)
    with TestClient(app, base_url=HOST, raise_server_exceptions=False) as client:
        yield client, pages
    queue.end(30)
    pages.end_all()


class Page:
    """What a page does."""

    def __init__(self, client):
        self.client = client
        self.token = client.post("/api/sessions").json()["session"]
        self.base = f"/api/sessions/{self.token}"

    def get(self, path=""):
        return self.client.get(f"{self.base}{path}")

    def post(self, path, body):
        return self.client.post(f"{self.base}{path}", json=body)

    def upload(self, name, content, kind="photo"):
        return self.client.post(
            f"{self.base}/files", files={"file": (name, content)}, data={"kind": kind}
        )

    def take(self, *names):
        for name in names:
            assert self.post("/examples", {"example": name}).status_code == 200

    def finish(self, answer, seconds=120):
        assert answer.status_code == 200, answer.text
        job, end = answer.json()["job"], time.monotonic() + seconds
        while job["state"] in ("queued", "running") and time.monotonic() < end:
            time.sleep(0.05)
            job = self.get(f"/jobs/{job['id']}").json()["job"]
        return job

    def paint(self, **asked):
        return self.finish(self.post("/jobs", {"kind": "picture", **asked}))


@pytest.fixture
def page(served):
    return Page(served[0])


def error_of(answer, status):
    assert answer.status_code == status, answer.text
    (message,) = answer.json().values()
    assert "\n" not in message
    return message


def test_a_page_begins_with_all_that_there_is(served):
    told = served[0].get("/api/studio").json()
    assert told["notice"].startswith("synthetic")
    assert [one["id"] for one in told["weights"]] == ["embedded"]
    for kind in ("examples", "poses", "motions"):
        assert told[kind]
        assert served[0].get(told[kind][0]["url"]).headers["content-type"].startswith("image/")
    assert served[0].get(told["guide_url"]).content.startswith(b"\x89PNG")
    assert {name for bone in told["bones"] for name in bone} > {
        one["id"] for one in told["handles"]
    }
    assert served[0].get("/").text.startswith("<!doctype html>")


def test_a_person_is_read_and_what_is_missing_is_said(page):
    page.take("ada")
    job = page.finish(page.post("/people", {"photos": ["ada.jpg"]}))
    person = job["person"]
    assert job["state"] == "done"
    assert 0.2 < person["shown"]["upper"] < 0.6
    for name in ("photo_url", "map_url", "texture_url", "face_url"):
        assert page.client.get(person[name]).headers["content-type"].startswith("image/")
    half = Image.open(EXAMPLES / "ada.jpg").crop((60, 0, 300, 200))
    buffer = io.BytesIO()
    half.save(buffer, "PNG")
    page.upload("half.png", buffer.getvalue())
    missing = page.finish(page.post("/people", {"photos": ["half.png"]}))["person"]["missing"]
    assert any("no feet" in line for line in missing)


def test_its_command_and_its_recipe_make_the_same_picture_byte_for_byte(page, tmp_path):
    page.take("ada", "cleo")
    begun = page.post("/pose", {"start": "walking", "turn": 20}).json()
    kept = {name: begun[name] for name in ("rotations", "orientation", "turn", "pitch")}
    page.post("/poses", {**kept, "name": "my pose"})
    job = page.paint(
        source=["ada.jpg"],
        pose="my pose.npz",
        edits={"upper": "cleo.jpg", "recolor": {"lower": "#204080"}},
        seeds=[3, 4],
        steps=2,
    )
    assert job["state"] == "done", job["error"]
    archive = zipfile.ZipFile(io.BytesIO(page.client.get(job["recipe_url"]).content))
    archive.extractall(tmp_path)
    first = archive.read("recipe.yaml").decode().splitlines()[0]
    second = job["results"][1]
    for command, results in (
        (first.removeprefix("# In this folder: "), job["results"]),
        (second["command"], [second]),
    ):
        words = shlex.split(command)
        assert words[0] == "mcld"
        run = [sys.executable, "-m", "mcld_cli", *words[1:]]
        # As many threads as the studio had: they decide how sums are rounded.
        subprocess.run(run, cwd=tmp_path, check=True, capture_output=True)
        for result in results:
            written = tmp_path / result["name"]
            assert written.read_bytes() == page.client.get(result["download"]).content
            written.unlink()


def test_every_picture_says_that_it_is_synthetic(page):
    page.take("ada")
    job = page.paint(source=["ada.jpg"], pose="standing")
    picture = page.client.get(job["results"][0]["download"]).content
    assert Image.open(io.BytesIO(picture)).text["Comment"].startswith("synthetic")
    assert str(served_folder(page)) not in picture.decode("latin-1")


def served_folder(page):
    return page.client.app.app.state.sessions.find(page.token).folder


def test_an_edit_is_shown_on_the_body_without_the_network(page):
    page.take("ada", "cleo")
    asked = {"source": ["ada.jpg"], "edits": {"recolor": {"lower": "#ff0000"}}}
    told = page.post("/preview", asked).json()
    assert told["picture"].startswith("data:image/jpeg;base64,")
    assert told["picture"] != page.post("/preview", {"source": ["ada.jpg"]}).json()["picture"]


@pytest.fixture
def nod(tmp_path, monkeypatch):
    """A motion of four bodies that comes along, and no other."""
    with (MOTIONS / "wave.npz").open("rb") as file:
        arrays = {name: array[:4] if array.ndim else array for name, array in np.load(file).items()}
    np.savez(tmp_path / "nod.npz", **arrays)
    monkeypatch.setattr("mcld.body.parameters.MOTIONS", tmp_path)
    list_motions.cache_clear()
    yield "nod"
    list_motions.cache_clear()


def test_a_sequence_becomes_a_video_and_its_frames_are_gone(page, nod):
    page.take("ben")
    asked = {"kind": "sequence", "source": ["ben.jpg"], "motion": nod}
    job = page.finish(page.post("/jobs", asked))
    assert job["state"] == "done", job["error"]
    assert page.client.get(job["video"]["url"]).content[4:8] == b"ftyp"
    poster = page.client.get(job["video"]["poster"])
    assert poster.headers["content-type"] == "image/jpeg"
    told = Image.open(io.BytesIO(poster.content)).getxmp()["xmpmeta"]["RDF"]["Description"]
    assert told["DigitalSourceType"] == GENERATED
    assert job["frames"] == []
    assert job["command"] == "mcld sample --source ben.jpg --pose nod --seed 0 --out ben-nod.mp4"
    assert page.get(f"/jobs/{job['id']}/frames/0").status_code == 204


def test_a_sequence_that_is_cancelled_leaves_nothing(page):
    page.take("ben")
    asked = {"kind": "sequence", "source": ["ben.jpg"], "motion": "wave"}
    job = page.post("/jobs", asked).json()["job"]
    for _ in range(1200):
        job = page.get(f"/jobs/{job['id']}").json()["job"]
        if job["done"] > 2 or job["state"] not in ("queued", "running"):
            break
        time.sleep(0.05)
    assert job["stage"] == "reading poses"
    page.post(f"/jobs/{job['id']}/cancel", {})
    ended = page.finish(page.get(f"/jobs/{job['id']}"))
    assert ended["state"] == "cancelled"
    assert not list(served_folder(page).glob("jobs/*/*"))


def test_a_job_that_waits_says_how_many_come_before_and_can_be_cancelled(page):
    page.take("ada")
    asked = {"kind": "picture", "source": ["ada.jpg"], "pose": "standing"}
    jobs = [page.post("/jobs", asked).json()["job"] for _ in range(4)]
    assert jobs[3]["ahead"] >= 1
    assert jobs[3]["queue"] >= 2
    page.post(f"/jobs/{jobs[3]['id']}/cancel", {})
    states = [page.finish(page.get(f"/jobs/{job['id']}"))["state"] for job in jobs]
    assert states == ["done", "done", "done", "cancelled"]


def test_more_jobs_than_the_queue_holds_are_refused_and_all_others_done(page):
    page.take("ada")
    asked = {"photos": ["ada.jpg"]}
    answers = [page.post("/people", asked) for _ in range(90)]
    refused = [answer for answer in answers if answer.status_code == 429]
    taken = [answer for answer in answers if answer.status_code == 200]
    assert len(taken) >= 60
    assert "too many jobs are waiting" in error_of(refused[0], 429)
    assert page.finish(taken[-1])["state"] == "done"


def test_two_pages_do_not_see_each_other(served, page):
    other = Page(served[0])
    page.take("ada")
    assert other.get().json() == {"files": [], "people": [], "jobs": []}
    assert "there is no file ada.jpg" in error_of(other.get("/files/ada.jpg/shown"), 404)
    refusal = other.post("/jobs", {"kind": "picture", "source": ["ada.jpg"]})
    assert "there is no file ada.jpg" in error_of(refusal, 404)


def test_a_session_that_ends_takes_its_files_along(served):
    page = Page(served[0])
    page.take("ada")
    folder = served_folder(page)
    assert any(folder.rglob("ada.jpg"))
    page.client.delete(page.base)
    assert not folder.exists()
    assert error_of(page.get(), 404) == "this session has ended"


def test_pages_that_nobody_uses_end(served):
    idle, used = Page(served[0]), Page(served[0])
    folder = served_folder(idle)
    served[1].find(idle.token).used -= 10_000
    served[1].end_idle()
    assert not folder.exists()
    assert used.get().status_code == 200


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../../etc/passwd.png", "passwd.png"),
        ("..\\..\\boot.png", "boot.png"),
        ("-rf *.png", "rf *.png"),
        (".hidden.png", "hidden.png"),
        ("photo (1) o'k.JPG", "photo (1) o'k.JPG"),
        ("a#2,b=c.png", "a-2,b=c.png"),
        ("\u00e9t\u00e9 \u5409.png", "\u00e9t\u00e9 \u5409.png"),
        ("x" * 300 + ".png", "x" * 80 + ".png"),
        ("\u5409" * 90 + ".png", "\u5409" * 26 + ".png"),
        ("<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),
        ("noend", "noend.png"),
        ("...", "file.png"),
    ],
)
def test_a_file_lies_in_its_sessions_folder_whatever_it_is_called(page, name, kept):
    content = (EXAMPLES / "ada.jpg").read_bytes()
    told = page.upload(name, content).json()["file"]
    assert told["id"] == kept
    assert (served_folder(page) / "files" / kept).read_bytes() == content
    assert page.client.get(told["download"]).content == content
    assert page.client.get(told["url"]).headers["content-type"] == "image/jpeg"
    assert page.upload(name, content).json()["file"]["id"] == kept[:-4] + "-2" + kept[-4:]


@pytest.mark.parametrize(
    ("name", "content", "kind", "words"),
    [
        ("a.jpg", b"", "photo", "a.jpg is empty"),
        ("a.jpg", b"<!doctype html><script>alert(1)</script>", "photo", "a.jpg is a web page"),
        ("a.jpg", b"\xff\xd8\xff cut short", "photo", "a.jpg"),
        ("a.npz", b"PK\x03\x04", "pose", "a.npz is no .npz of arrays"),
        ("a.npz", b"PK\x03\x04", "photo", "a.npz is no picture"),
        ("a.png", (EXAMPLES / "ada.jpg").read_bytes(), "texture", "a.png is 352x512 pixels"),
        ("a.json", b"{", "pose", "a.json"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_a_line_and_leaves_nothing(
    page, name, content, kind, words
):
    message = error_of(page.upload(name, content, kind), 400)
    assert message.startswith(words)
    assert str(served_folder(page)) not in message
    assert not list((served_folder(page) / "files").iterdir())
    assert page.get().json()["files"] == []


def test_a_photo_of_nobody_fails_in_a_line(page):
    buffer = io.BytesIO()
    Image.new("RGB", (200, 300), "white").save(buffer, "PNG")
    page.upload("blank.png", buffer.getvalue())
    job = page.finish(page.post("/people", {"photos": ["blank.png"]}))
    assert job["state"] == "failed"
    assert job["error"].startswith("blank.png shows nobody")


def test_a_file_that_is_too_large_is_refused(page):
    refusal = page.upload("large.png", b"\0" * (UPLOAD + 200_000))
    assert "larger than 25 MB" in error_of(refusal, 413)


@pytest.mark.parametrize(
    "path",
    [
        "/files/..%2F..%2F..%2Fetc%2Fpasswd/content",
        "/files/%2Fetc%2Fpasswd/shown",
        "/jobs/..%2f..%2f/files/x",
        "/jobs/nothing/files/photo.jpg",
    ],
)
def test_nothing_outside_a_session_can_be_read(page, path):
    assert page.get(path).status_code == 404


@pytest.mark.parametrize(
    "path", ["/page/../server.py", "/page/..%2fserver.py", "/page//etc/passwd"]
)
def test_nothing_but_the_page_is_served(served, path):
    assert served[0].get(path).status_code == 404


def test_a_job_gives_out_its_own_results_alone(page):
    page.take("ada")
    job = page.paint(source=["ada.jpg"], pose="standing")
    (served_folder(page) / "jobs" / job["id"] / "other.txt").write_text("secret")
    assert page.get(f"/jobs/{job['id']}/files/other.txt").status_code == 404


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Host": "evil.example"}, "this server is not evil.example"),
        ({"Origin": "http://evil.example"}, "another site asked for this"),
        ({"Origin": "null"}, "another site asked for this"),
    ],
)
def test_other_sites_are_not_answered(served, headers, words):
    assert words in error_of(served[0].post("/api/sessions", headers=headers), 403)


def test_its_own_page_is(served):
    assert served[0].post("/api/sessions", headers={"Origin": HOST}).status_code == 200


def test_no_answer_may_run_what_is_not_the_pages(served, page):
    for answer in (served[0].get("/"), page.get(), served[0].get("/nothing")):
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
        assert answer.headers["x-content-type-options"] == "nosniff"
    report = served[0].get("/api/reports/0")
    assert report.text == "<p>scores"
    assert report.headers["content-security-policy"].startswith("sandbox")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"source": []}, "source"),
        ({"source": ["ada.jpg"], "seeds": [0] * 9}, "seeds"),
        ({"source": ["ada.jpg"], "seeds": [-1]}, "seeds.0"),
        ({"source": ["ada.jpg"], "strength": 2}, "strength"),
        ({"source": ["ada.jpg"], "edits": {"recolor": {"upper": "red; x"}}}, "upper"),
        ({"source": ["ada.jpg"], "edits": {"recolor": {"wings": "#ff0000"}}}, "no part 'wings'"),
        ({"source": ["ada.jpg"], "unknown": 1}, "unknown"),
        ({"source": ["ada.jpg"], "steps": 0}, "--steps"),
        ({"source": ["ada.jpg"], "scheduler": "best"}, "--scheduler"),
        ({"source": ["ada.jpg"], "guidance": 0}, "--guidance"),
        ({"source": ["ada.jpg", "ada.jpg"]}, "is given twice"),
        ({"source": ["ada.jpg"], "weights": "/etc"}, "there are no weights /etc"),
    ],
)
def test_what_cannot_be_painted_is_told_in_a_line(page, asked, words):
    page.take("ada")
    message = error_of(page.post("/jobs", {"kind": "picture", **asked}), 400)
    assert words in message


def test_a_pose_by_hand_is_kept_and_begun_from_again(page):
    begun = page.post("/pose", {"start": "standing"}).json()
    wrist = begun["joints"]["L_Wrist"]
    held = {name: begun[name] for name in ("rotations", "orientation", "camera")}
    drag = {"handle": "L_Wrist", "x": wrist[0] + 0.05, "y": wrist[1] - 0.3}
    dragged = page.post("/pose", {**held, "drag": drag}).json()
    assert dragged["joints"]["L_Wrist"][1] == pytest.approx(drag["y"], abs=0.01)
    assert dragged["joints"]["R_Wrist"] == pytest.approx(begun["joints"]["R_Wrist"], abs=1e-3)
    kept = {name: dragged[name] for name in ("rotations", "orientation")}
    told = page.post("/poses", {**kept, "name": "mine", "turn": 30.0, "pitch": 0.0}).json()["file"]
    assert told["kind"] == "pose"
    content = page.client.get(told["download"]).content
    (path := served_folder(page) / "again.npz").write_bytes(content)
    assert np.abs(read_body(path).orientation).max() == pytest.approx(np.radians(30), abs=1e-3)
    again = page.post("/pose", {"start": told["id"]}).json()
    assert np.allclose(again["rotations"], dragged["rotations"], atol=1e-6)
    mirrored = page.post("/pose", {**kept, "mirror": True}).json()["joints"]
    assert mirrored["R_Wrist"][1] < mirrored["L_Wrist"][1] - 0.2


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "give a pose to start from"),
        ({"start": "nothing"}, "there is no file nothing"),
        ({"start": "standing", "drag": {"handle": "Tail", "x": 0, "y": 0}}, "no joint 'Tail'"),
        ({"start": "standing", "turn": 1e9}, "turn"),
        ({"rotations": [[0, 0, 0]], "orientation": [0, 0, 0]}, "rotations"),
        ({"start": "standing", "person": "../x"}, "there is no person ../x"),
    ],
)
def test_a_pose_that_cannot_be_is_told_in_a_line(page, asked, words):
    answer = page.post("/pose", asked)
    assert words in error_of(answer, answer.status_code)
    assert answer.status_code in (400, 404)


def test_a_map_made_elsewhere_is_a_pose(page, dataset):
    page.take("ada")
    path = next(dataset.root.glob("test_densepose/*.png"))
    told = page.upload("map.png", path.read_bytes(), "pose").json()["file"]
    with Image.open(io.BytesIO(page.client.get(told["url"]).content)) as shown:
        assert shown.height == read_iuv(path).shape[0]
    assert page.paint(source=["ada.jpg"], pose="map.png")["state"] == "done"


def test_the_history_comes_back_when_the_page_is_loaded_again(page):
    page.take("ada")
    page.finish(page.post("/people", {"photos": ["ada.jpg"]}))
    job = page.paint(source=["ada.jpg"], pose="standing", seeds=[7])
    told = page.get().json()
    assert [file["id"] for file in told["files"]] == ["ada.jpg"]
    assert told["jobs"][-1]["request"]["seeds"] == [7]
    assert told["jobs"][-1]["results"] == job["results"]
    assert told["people"][0]["photos"] == ["ada.jpg"]
    page.client.delete(f"{page.base}/jobs/{job['id']}")
    assert len(page.get().json()["jobs"]) == 1


def test_reports_and_sheets_are_found_below_where_it_was_started(tmp_path):
    (tmp_path / "results" / "mcld").mkdir(parents=True)
    (tmp_path / "results" / "mcld" / "report.html").write_text("<p>")
    (tmp_path / "out-sheet.png").write_bytes(b"")
    (tmp_path / "out.png").write_bytes(b"")
    expected = [tmp_path / "out-sheet.png", tmp_path / "results" / "mcld" / "report.html"]
    assert find_reports(tmp_path) == expected


def test_a_port_in_use_is_told_in_a_line():
    with open_socket("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        run = subprocess.run(
            [sys.executable, "-m", "mcld_cli", "studio", "--no-browser", "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert run.returncode == 2
    assert "Address already in use; give another --port" in run.stderr
    assert "Traceback" not in run.stderr


def test_ended_it_removes_what_pages_left(tmp_path):
    run = subprocess.Popen(
        [sys.executable, "-m", "mcld_cli", "studio", "--no-browser", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        address = run.stdout.readline().split()[-1]
        token = requests.post(f"{address}/api/sessions", timeout=30).json()["session"]
        taken = f"{address}/api/sessions/{token}/examples"
        requests.post(taken, json={"example": "ada"}, timeout=30)
        assert any(tmp_path.rglob("ada.jpg"))
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 0
        assert "the files of its pages are removed" in run.stdout.read()
        assert not list(Path(tmp_path).glob("mcld-studio-*"))
    finally:
        run.kill()


def test_what_lies_where_it_was_started_is_not_taken_for_a_pose_or_a_motion(
    page, nod, tmp_path, monkeypatch
):
    (tmp_path / nod).mkdir()
    (tmp_path / "standing").write_text("secret")
    monkeypatch.chdir(tmp_path)
    page.take("ada")
    job = page.paint(source=["ada.jpg"], pose="standing")
    assert job["state"] == "done", job["error"]
    picture = Image.open(io.BytesIO(page.client.get(job["results"][0]["url"]).content))
    assert [name for name, _ in json.loads(picture.text["mcld"])["files"]] == ["ada.jpg"]
    asked = {"kind": "sequence", "source": ["ada.jpg"], "motion": nod}
    assert page.finish(page.post("/jobs", asked))["state"] == "done"


def test_a_result_may_be_painted_from(page):
    page.take("ada")
    job = page.paint(source=["ada.jpg"])
    result = job["results"][0]
    again = page.upload(result["name"], page.client.get(result["url"]).content).json()["file"]
    other = page.paint(source=["ada.jpg"], edits={"upper": again["id"]})
    assert other["state"] == "done", other["error"]
    assert other["results"][0]["name"] != result["name"]


def test_a_person_stays_however_much_is_painted(page, monkeypatch):
    monkeypatch.setattr("mcld.studio.session._JOBS", 2)
    page.take("ada")
    person = page.finish(page.post("/people", {"photos": ["ada.jpg"]}))["person"]
    for _ in range(4):
        page.paint(source=["ada.jpg"])
    told = page.get().json()
    assert [job["kind"] for job in told["jobs"]].count("picture") == 2
    assert page.client.get(person["texture_url"]).status_code == 200
    worn = page.post("/pose", {"start": "standing", "person": person["id"]})
    assert worn.status_code == 200


def test_a_job_that_has_ended_keeps_its_picture_when_it_is_cancelled(page):
    page.take("ada")
    job = page.paint(source=["ada.jpg"])
    page.post(f"/jobs/{job['id']}/cancel", {})
    assert page.get(f"/jobs/{job['id']}").json()["job"]["state"] == "done"
    assert page.client.get(job["results"][0]["url"]).status_code == 200


def test_a_session_that_ends_while_it_paints_leaves_nothing(page):
    page.take("ada")
    job = page.post("/jobs", {"kind": "picture", "source": ["ada.jpg"], "seeds": [0, 1, 2]})
    session = page.client.app.app.state.sessions.find(page.token)
    page.client.delete(page.base)
    (ending,) = [one for one in session.jobs.values() if one.id == job.json()["job"]["id"]]
    for _ in range(600):
        if ending.has_ended:
            break
        time.sleep(0.05)
    time.sleep(0.2)
    assert ending.state == "cancelled"
    assert not session.folder.exists()


def test_a_file_that_nothing_was_made_of_can_be_removed(page):
    page.take("ada", "ben")
    page.finish(page.post("/people", {"photos": ["ada.jpg"]}))
    assert page.client.delete(f"{page.base}/files/ben.jpg").status_code == 200
    assert [file["id"] for file in page.get().json()["files"]] == ["ada.jpg"]
    assert "is used" in error_of(page.client.delete(f"{page.base}/files/ada.jpg"), 409)


def test_settings_that_were_set_elsewhere_are_part_of_the_command(tmp_path, monkeypatch):
    (tmp_path / "own.yaml").write_text("prepare: {body_turn: 30}")
    monkeypatch.setenv("MCLD_SAMPLE__GUIDANCE_SCALE", "2")
    networks = Networks(tmp_path / "own.yaml", ["edit.strength=0.5", "sample.threads=1"], [])
    asked = SequenceRequest(kind="sequence", source=["a.jpg"], motion="walk", steps=3)
    command = describe_sequence([Path("a.jpg")], asked, networks.find(asked), networks)
    words = shlex.split(command)
    given = {words[k + 1] for k, word in enumerate(words) if word == "--set"}
    wanted = {"prepare.body_turn=30.0", "sample.guidance_scale=2.0", "edit.strength=0.5"}
    assert given == {*wanted, "sample.threads=1"}
    assert words[-4:-2] == ["--steps", "3"]


def test_pictures_and_numbers_that_would_fill_the_memory_are_refused(page):
    buffer = io.BytesIO()
    Image.new("1", (9000, 9000)).save(buffer, "PNG")
    message = error_of(page.upload("large.png", buffer.getvalue()), 400)
    assert message == "large.png has 81 megapixels: give one of at most 40"
    buffer = io.BytesIO()
    np.savez_compressed(buffer, body_pose=np.zeros(30_000_000, np.float32))
    assert "holds more than 100 MB" in error_of(
        page.upload("a.npz", buffer.getvalue(), "pose"), 400
    )


def test_an_upload_that_does_not_say_how_large_it_is_is_refused_as_well(page):
    begin = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'

    def send():
        yield begin
        for _ in range(30):
            yield b"\0" * 1_000_000

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    refusal = page.client.post(f"{page.base}/files", content=send(), headers=headers)
    assert "larger than 25 MB" in error_of(refusal, 413)


def test_of_too_many_pages_the_one_unused_for_longest_ends(tmp_path, monkeypatch):
    monkeypatch.setattr("mcld.studio.session._SESSIONS", 2)
    pages = Sessions(tmp_path)
    first, second = pages.open(), pages.open()
    first.used -= 10
    pages.open()
    assert not first.folder.exists()
    assert pages.find(second.token) is second


def test_an_address_that_is_none_is_told_in_a_line():
    with pytest.raises(SettingsError, match=r"--host nowhere\.invalid .*; give another --host"):
        open_socket("nowhere.invalid", 0)


def test_a_folder_without_a_network_is_told_before_the_page_opens(tmp_path):
    with pytest.raises(WeightsError, match="holds no network: give a pipeline folder"):
        Networks(None, [], [tmp_path])
    assert [*Networks(None, [], [EMBEDDED_FOLDER]).weights] == ["1", "embedded"]
