"""Signed pictures, as the library of the standard's authors reads them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcld.dataset.pictures import read_image, write_png
from mcld.errors import InputError, MCLDError, SettingsError
from mcld.machine.provenance import COMPOSITE, GENERATED, Provenance
from mcld.machine.signing import open_signer
from mcld.machine.video import read_frames, write_video
from mcld.studio.shown import write_jpeg
from tests.certificates import (
    KEYS,
    c2pa,
    ec,
    make_certificate,
    pack,
    read_manifest,
    serialization,
    write_pair,
)

TEXT = {"Software": "mcld 1.2.3", "Comment": "made by a model"}
PICTURE = np.full((48, 64, 3), 90, np.uint8)


@pytest.mark.parametrize("source_type", [GENERATED, COMPOSITE])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".mp4", ".gif", ".webp"])
def test_a_file_says_what_made_it_and_who_confirms_that(
    tmp_path: Path, suffix: str, source_type: str
):
    path = tmp_path / "out" / f"a{suffix}"
    made = Provenance(TEXT, source_type, open_signer(*write_pair(tmp_path)))
    if suffix == ".png":
        write_png(path, PICTURE, made)
    elif suffix == ".jpg":
        write_jpeg(path, PICTURE, made)
    else:
        write_video(path, [PICTURE] * 3, 10.0, made)
    manifest = read_manifest(path)
    assert manifest["title"] == path.name
    (generator,) = manifest["claim_generator_info"]
    assert (generator["name"], generator["version"]) == ("mcld", "1.2.3")
    (actions,) = (
        a["data"]["actions"] for a in manifest["assertions"] if a["label"] == "c2pa.actions.v2"
    )
    assert [(a["action"], a["digitalSourceType"]) for a in actions] == [
        ("c2pa.created", source_type)
    ]
    assert manifest["signature_info"]["common_name"] == "Ann"
    assert "time" not in manifest["signature_info"]  # no server was asked
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    # It is what it was: the pixels, and what is said unsigned.
    if suffix in (".png", ".jpg"):
        assert np.abs(read_image(path).astype(int) - PICTURE).max() <= 1
    else:
        frames = list(read_frames(path, 10.0))
        assert len(frames) == 3
        assert np.abs(frames[0].astype(int) - PICTURE).max() <= 4
    assert source_type.encode() in path.read_bytes()


def test_a_changed_picture_is_told(tmp_path: Path):
    path = tmp_path / "a.png"
    write_png(path, PICTURE, Provenance(TEXT, signer=open_signer(*write_pair(tmp_path))))
    content = bytearray(path.read_bytes())
    content[content.index(b"mcld 1.2.3")] ^= 1  # in the text, which the signature covers, too
    path.write_bytes(content)
    with c2pa.Reader("image/png", io.BytesIO(content)) as reader:
        assert reader.get_validation_state() == "Invalid"


@pytest.mark.parametrize("kind", KEYS)
def test_every_kind_of_key_of_the_standard_signs(tmp_path: Path, kind: str):
    path = tmp_path / "a.png"
    write_png(path, PICTURE, Provenance(TEXT, signer=open_signer(*write_pair(tmp_path, kind))))
    assert read_manifest(path)["signature_info"]["common_name"] == "Ann"


def test_who_gives_no_certificate_signs_nothing():
    assert open_signer(None, None) is None


def test_a_certificate_and_a_key_go_together(tmp_path: Path):
    certificate, key = write_pair(tmp_path)
    with pytest.raises(SettingsError, match=r"set sample\.c2pa_key, too"):
        open_signer(certificate, None)
    with pytest.raises(SettingsError, match=r"set sample\.c2pa_certificate, too"):
        open_signer(None, key)
    _, other = write_pair(tmp_path, "P-384")
    with pytest.raises(InputError, match=r"P-384-1\.key is not the key of .*P-256-1\.pem"):
        open_signer(certificate, other)


def test_files_that_cannot_sign_are_told_at_once(tmp_path: Path):
    certificate, key = write_pair(tmp_path)
    missing, locked, odd = (tmp_path / name for name in ("missing", "locked.key", "odd.key"))
    with pytest.raises(InputError, match="missing cannot be read: No such file"):
        open_signer(missing, key)
    with pytest.raises(InputError, match=r"P-256-1\.key holds no certificate"):
        open_signer(key, key)
    with pytest.raises(InputError, match=r"P-256-1\.pem holds no private key"):
        open_signer(certificate, certificate)
    locked.write_bytes(pack(KEYS["P-256"](), b"secret"))
    with pytest.raises(InputError, match=r"locked\.key has a password"):
        open_signer(certificate, locked)
    authority = KEYS["P-256"]()
    root = make_certificate(authority, "Root", authority, name="Root")
    certificate.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(pack(authority))
    with pytest.raises(InputError, match=r"P-256-1\.pem cannot sign: .*self-signed"):
        open_signer(certificate, key)
    bitcoin = ec.generate_private_key(ec.SECP256K1())
    certificate.write_bytes(
        make_certificate(bitcoin, "Root", authority).public_bytes(serialization.Encoding.PEM)
    )
    odd.write_bytes(pack(bitcoin))
    with pytest.raises(InputError, match=r"odd\.key is a key that C2PA does not know"):
        open_signer(certificate, odd)


def test_a_certificate_that_has_expired_does_not_sign(tmp_path: Path):
    with pytest.raises(InputError, match=r"P-256-40\.pem cannot sign"):
        open_signer(*write_pair(tmp_path, age=40))


def test_a_format_without_a_place_for_it_is_refused(tmp_path: Path):
    signer = open_signer(*write_pair(tmp_path))
    assert signer is not None
    signer.check_format(Path("a.MP4"))
    with pytest.raises(SettingsError, match=r"a\.webm: a \.webm cannot be signed"):
        signer.check_format(Path("a.webm"))


def test_nothing_is_left_of_a_file_that_cannot_be_signed(tmp_path: Path):
    signer = open_signer(*write_pair(tmp_path))
    path = tmp_path / "out" / "a.webm"
    with pytest.raises(MCLDError, match=r"a\.webm cannot be signed"):
        write_video(path, [PICTURE], 10.0, Provenance(TEXT, signer=signer))
    assert list(path.parent.iterdir()) == []


def test_a_key_is_not_shown(tmp_path: Path):
    signer = open_signer(*write_pair(tmp_path))
    assert "PRIVATE KEY" not in repr(signer)


def test_a_picture_without_a_signer_has_no_manifest(tmp_path: Path):
    write_png(tmp_path / "a.png", PICTURE, Provenance(TEXT))
    with pytest.raises(c2pa.C2paError.ManifestNotFound):
        c2pa.Reader(str(tmp_path / "a.png"))
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.info["Software"] == TEXT["Software"]
