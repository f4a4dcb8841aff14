"""An edit as a person asks for it."""

from pathlib import Path

import pytest

from mcld.edit.request import EditRequest, parse_edit_request
from mcld.errors import SettingsError

FILES = {"source": "alice.jpg", "out": "out.png"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"upper": "b.jpg", "garment": "upper,lower=c.jpg"}, "two donors for upper: b.jpg and c"),
        ({"face": "b.jpg", "head": "c.jpg"}, "two donors for head, which --face brings as well"),
        ({"garment": "hat=b.jpg"}, "there is no part 'hat': there are head, upper, lower"),
        ({"garment": "upper"}, "--garment upper: give PART,PART=FILE"),
        ({"recolor": "upper=teel"}, "teel is no colour; give #RRGGBB or a name such as navy"),
        ({"recolor": "upper=rgb(300,0,0)"}, "rgb(300,0,0) is no colour"),
        ({"recolor": "upper=#80302040"}, "#80302040 is no colour"),
        ({"pose_kind": "photo"}, "--pose-kind goes with --pose"),
        ({"recolor": "sleeve=red"}, "there is no part 'sleeve'"),
        ({"recolor": ["upper=red", "upper=blue"]}, "two colours for upper"),
        ({"recolor": "#803020"}, "--recolor #803020: give PART=COLOUR"),
        ({"amount": "0:1:7"}, "--amount goes with --interpolate"),
        ({"interpolate": "b.jpg", "amount": "0:1"}, "--amount 0:1: give one number"),
        ({"keep": "hair"}, "keep cannot be 'hair'"),
        ({"out": "out.jpg"}, "the picture is written as PNG"),
        ({"uper": "b.jpg"}, "there is no uper; there are source, source_pose, out"),
        ({"upper": ""}, "--upper is empty"),
        ({"recolor": None}, "quote what begins with #"),
        ({"upper": ["a.jpg", "b.jpg"]}, "upper cannot be ['a.jpg', 'b.jpg']: give one file"),
        ({"seed": -1}, "seed cannot be -1"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(given, said):
    with pytest.raises(SettingsError) as error:
        parse_edit_request({**FILES, **given}, "edits.yaml, edit 2")
    assert said in str(error.value)
    assert str(error.value).startswith("edits.yaml, edit 2: ")
    assert "\n" not in str(error.value)


def test_what_is_missing_is_named():
    with pytest.raises(SettingsError, match="edit 1: out is missing"):
        parse_edit_request({"source": "a.jpg"}, "edit 1")
    with pytest.raises(SettingsError, match="give `source`, `out` and the edits"):
        parse_edit_request("a.jpg", "edit 1")


def test_the_same_donor_may_be_named_twice():
    given = {**FILES, "upper": "b.jpg", "garment": ["upper,lower=b.jpg", "feet=c.jpg"]}
    donors = parse_edit_request(given, "").garments()
    assert donors == {"upper": Path("b.jpg"), "lower": Path("b.jpg"), "feet": Path("c.jpg")}
    face = parse_edit_request({**FILES, "face": "b.jpg", "head": "b.jpg"}, "")
    assert face.garments() == {}


def test_colours_are_hexadecimal_or_names():
    request = EditRequest(**FILES, recolor=("upper=#803020", "lower=navy"))
    assert request.colours() == {"upper": (0x80, 0x30, 0x20), "lower": (0, 0, 128)}
