"""Downloads from a server of this machine, whole and broken."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcld.errors import MCLDError, WeightsError
from mcld.licences import LICENCES
from mcld.weights.catalogue import Item, Web
from mcld.weights.download import download, fetch
from tests.weights.server import Server, serving

CONTENT = bytes(range(256)) * 4096


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({"/model.pkl": CONTENT}) as running:
        yield running


def quiet(*_: object) -> None:
    pass


def test_a_file_arrives_whole_and_its_bytes_are_told(server, tmp_path):
    told: list[tuple[int, int]] = []
    fetch(
        Web(f"{server.address}/model.pkl"),
        tmp_path / "model.pkl",
        lambda done, total: told.append((done, total)),
    )
    assert (tmp_path / "model.pkl").read_bytes() == CONTENT
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in tmp_path.iterdir()] == ["model.pkl"]


@pytest.mark.parametrize("ranges", [True, False])
def test_what_was_broken_off_is_never_taken_for_whole_and_is_gone_on_with(server, tmp_path, ranges):
    path, source = tmp_path / "model.pkl", Web(f"{server.address}/model.pkl")
    server.cut_after = 300_000
    with pytest.raises(WeightsError, match=r"300,000 of 1,048,576 bytes came\. Run .* again"):
        fetch(source, path, quiet)
    assert not path.exists()
    server.cut_after, server.ranges = None, ranges
    fetch(source, path, quiet)
    assert path.read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == ["", "bytes=300000-"]


def test_what_is_there_to_the_last_byte_is_not_fetched_again(server, tmp_path):
    (tmp_path / "model.pkl.incomplete").write_bytes(CONTENT)
    fetch(Web(f"{server.address}/model.pkl"), tmp_path / "model.pkl", quiet)
    assert (tmp_path / "model.pkl").read_bytes() == CONTENT


def test_leftovers_of_another_file_are_thrown_away(server, tmp_path):
    (tmp_path / "model.pkl.incomplete").write_bytes(CONTENT + b"more")
    fetch(Web(f"{server.address}/model.pkl"), tmp_path / "model.pkl", quiet)
    assert (tmp_path / "model.pkl").read_bytes() == CONTENT


def test_less_than_was_promised_is_refused(server, tmp_path):
    server.promised = 10
    with pytest.raises(WeightsError, match="1,048,576 of 1,048,586 bytes came"):
        fetch(Web(f"{server.address}/model.pkl"), tmp_path / "model.pkl", quiet)
    assert not (tmp_path / "model.pkl").exists()


def test_another_file_than_the_hash_says_is_refused_and_thrown_away(server, tmp_path):
    right = hashlib.sha256(CONTENT).hexdigest()[:8]
    fetch(Web(f"{server.address}/model.pkl", right), tmp_path / "right.pkl", quiet)
    with pytest.raises(WeightsError, match=f"begins with {right}, not 01234567"):
        fetch(Web(f"{server.address}/model.pkl", "01234567"), tmp_path / "wrong.pkl", quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["right.pkl"]


def test_a_file_that_is_not_there_is_said_so(server, tmp_path):
    with pytest.raises(WeightsError, match=r"/other\.pkl: the server says 404"):
        fetch(Web(f"{server.address}/other.pkl"), tmp_path / "other.pkl", quiet)
    assert not list(tmp_path.iterdir())


def test_no_network_is_said_with_where_to_put_the_file(tmp_path):
    with pytest.raises(WeightsError, match=r"cannot fetch .* refused.* put it to .*model\.pkl"):
        fetch(Web("http://127.0.0.1:1/model.pkl"), tmp_path / "model.pkl", quiet)


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").touch()
    item = Item(
        "x", "", tmp_path / "file" / "models", (("model.pkl",),),
        Web(f"{server.address}/model.pkl"), 0.0, LICENCES["vae"],
    )  # fmt: skip
    with pytest.raises(MCLDError, match="cannot write"):
        download(item, quiet)


def test_a_file_whose_length_nobody_tells_could_be_half_and_is_refused(server, tmp_path):
    server.length = False
    with pytest.raises(WeightsError, match="does not say how long"):
        fetch(Web(f"{server.address}/model.pkl"), tmp_path / "model.pkl", quiet)
    right = hashlib.sha256(CONTENT).hexdigest()[:8]
    fetch(Web(f"{server.address}/model.pkl", right), tmp_path / "right.pkl", quiet)
    assert (tmp_path / "right.pkl").read_bytes() == CONTENT


def packed(names: list[str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, bytes(5000), zipfile.ZIP_DEFLATED)
    return content.getvalue()


def pack(server: Server, folder: Path) -> Item:
    return Item(
        "antelopev2",
        "prepare",
        folder / "antelopev2",
        (("scrfd_10g_bnkps.onnx",), ("glintr100.onnx",)),
        Web(f"{server.address}/antelopev2.zip", archive=True),
        0.0,
        LICENCES["insightface"],
        also_in=(folder / "antelopev2" / "antelopev2",),
    )


@pytest.mark.parametrize("inside", ["", "antelopev2/"])
def test_an_archive_is_unpacked_into_its_folder_and_removed(server, tmp_path, inside):
    names = ["scrfd_10g_bnkps.onnx", "glintr100.onnx"]
    server.files["/antelopev2.zip"] = packed([f"{inside}{name}" for name in names])
    item = pack(server, tmp_path)
    item.folder.mkdir()
    (item.folder / "mine.onnx").write_bytes(b"kept")
    assert not item.is_present()
    download(item, quiet)
    assert item.is_present()
    assert (item.folder / "mine.onnx").read_bytes() == b"kept"
    assert [path.name for path in tmp_path.iterdir()] == ["antelopev2"]


@pytest.mark.parametrize("damaged", [False, True])
def test_an_archive_that_is_none_is_refused_and_leaves_nothing(server, tmp_path, damaged):
    whole = packed(["scrfd_10g_bnkps.onnx"])
    broken = whole[:60] + b"damaged" + whole[67:]
    server.files["/antelopev2.zip"] = broken if damaged else b"<html>Sign in</html>"
    with pytest.raises(WeightsError, match="sent no zip for antelopev2"):
        download(pack(server, tmp_path), quiet)
    assert not list(tmp_path.iterdir())
