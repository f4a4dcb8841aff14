"""How steady a sequence is."""

from pathlib import Path

from mcld.settings import Settings
from mcld_cli import console
from mcld_cli.options import check_device


def show_steadiness(sequence: Path, settings: Settings) -> None:
    """Print how steady a sequence is."""
    check_device(settings.evaluate, None)
    with console.importing_diffusers():
        from mcld.evaluate.sequence import measure_steadiness

    with console.progress("Reading frames", "frames") as count:
        found = measure_steadiness(sequence, settings, say=console.say, on_frame=count)
    shown = {
        "warping error (levels of 255)": (found.warping_error, ".2f"),
        "deviation of a place's colour": (found.deviation, ".2f"),
        f"faces alike ({found.face_embedder})": (found.face_similarity, ".3f"),
        "clothes alike": (found.clothes_similarity, ".3f"),
    }
    rows = [[name, "-" if n is None else f"{n:{digits}}"] for name, (n, digits) in shown.items()]
    rows.append(["frames", str(found.frames)])
    rows += [["of which show nobody", str(found.nobody)]] if found.nobody else []
    console.show_table([sequence.name, ""], rows)
    console.say("Measured on the surface of the body, along the maps' own flow: docs/sequences.md")
    console.show_result(found.describe())
