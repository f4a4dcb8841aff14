"""A raw folder that looks like DeepFashion's img_highres, of generated people."""

from pathlib import Path

from mcld.dataset.layout import DatasetLayout, flat_name, parse_outfit
from mcld.dataset.pictures import write_iuv, write_jpeg
from mcld.mannequin.world import identity, pose, render

VIEWS = ("1_front", "2_side", "7_additional")
SIZE = (128, 88)


def raw_folder(root: Path, people: int = 4, parent: str = "img_highres") -> list[str]:
    """Write `people` people in three pictures each below `root`; their flat names, sorted."""
    names = []
    for person in range(people):
        for picture, view in enumerate(VIEWS):
            path = f"WOMEN/Tees_Tanks/id_{person + 1:08d}/02_{view}.jpg"
            image, _ = rendered(person, picture)
            write_jpeg(root / parent / path, image)
            names.append(flat_name(path))
    return sorted(names)


def rendered(person: int, picture: int):
    """The picture and its IUV map."""
    return render(identity(11, person), pose(11, person, picture), SIZE)


def precomputed_maps(root: Path, splits: dict[str, list[str]]) -> None:
    """Write the IUV map of each listed picture, as the authors publish them."""
    for split, names in splits.items():
        for name in names:
            person = int(name.split("id")[1][:8]) - 1
            picture = next(k for k, v in enumerate(VIEWS) if v.replace("_", "") in name)
            _, iuv = rendered(person, picture)
            write_iuv(DatasetLayout(root).densepose(split, name.removesuffix(".jpg")), iuv)


def publish_lists(folder: Path, train: list[str], test: list[str], refused: str = "") -> None:
    """Write lists and tables as the field publishes them, with a line more for training."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, names, more in (("train", train, refused), ("test", test, "")):
        (folder / f"{split}.lst").write_text("".join(f"{n}\n" for n in [*names, more]))
        pairs = [
            f"{a},{b}\n"
            for a in names
            for b in names
            if a != b and parse_outfit(a) == parse_outfit(b)
        ]
        (folder / f"{split}.csv").write_text("from,to\n" + "".join(pairs))
