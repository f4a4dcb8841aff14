"""A study with people: one page to send out, and the key to its answers beside it.

The page asks two things, as the user studies of the field do (docs/studies.md): of single pictures
whether they are real or generated, and, where there are several methods, which of two results of a
pair is better. It needs no network, and tells of no picture what it is.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from mcld import __version__
from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image
from mcld.dataset.results import RESULT_SIZES
from mcld.errors import InputError, SettingsError
from mcld.evaluate.layouts import PairNames, ResultFile
from mcld.evaluate.pairs import Pixels, is_smaller, make_photo, read_result
from mcld.evaluate.protocol import Protocol
from mcld.evaluate.request import EvaluationRequest, Listing
from mcld.evaluate.study_key import KEY_FILE, PAGE_FILE, ShownPicture, StudyKey, read_key
from mcld.machine.files import write_json, write_text

LARGEST_PAGE = 20_000_000
"""Bytes; more is refused by many a mail server."""
_QUALITY = 95
_PROTOCOL = Protocol()


@dataclass(frozen=True)
class Plan:
    """How much people are asked."""

    pictures: int = 30
    """Real pictures to judge, and as many generated ones, shared among the methods."""
    comparisons: int = 30
    """Of two methods each, shared among all pairs of methods."""
    seed: int = 0
    """Decides which pictures are shown."""
    seconds: float | None = None
    """How long a picture is shown that is to be judged; None: until it is."""


@dataclass
class Study:
    """What was made."""

    page: Path
    key: StudyKey
    notes: list[str]
    """What to know before sending it out, in words."""


@dataclass
class _Drawing:
    """What was drawn from the pairs that all methods have."""

    photos: list[str]
    generated: list[tuple[str, str]]
    """(name of the pair, method)."""
    compared: list[tuple[str, tuple[str, str]]]
    """(name of the pair, two methods)."""
    notes: list[str] = field(default_factory=list)


def make_study(
    folder: Path,
    requests: Sequence[EvaluationRequest],
    listings: Sequence[dict[str, Listing]],
    plan: Plan,
    on_picture: Callable[[int, int], None],
) -> Study:
    """Write study.html and study.json into a folder.

    The pictures are of the largest size of which all methods have some, and of pairs that all have.

    Raises InputError when there are none, when a picture cannot be read, and when the folder holds
    the key to another study; SettingsError when the page would be too large; MCLDError when a file
    cannot be written.
    """
    size = next((s for s in reversed(RESULT_SIZES) if _list_common(listings, s)), None)
    if size is None:
        raise InputError("the results have no pair in common at any size: nothing can be compared")
    random = Random(plan.seed)  # noqa: S311 - no secret
    pairs = _list_common(listings, size)
    methods = [request.name for request in requests]
    drawn = _draw(pairs, methods, plan, random)
    files = {
        request.name: listing[size].files
        for request, listing in zip(requests, listings, strict=True)
    }
    encoder = _Encoder(requests[0], size, files, on_picture)
    encoder.total = len(drawn.photos) + len(drawn.generated) + 4 * len(drawn.compared)

    ids = iter(random.sample(range(16**6), encoder.total))
    pictures: dict[str, ShownPicture] = {}
    urls: dict[str, str] = {}

    def show(method: str | None, source: str | None, target: str, url: str) -> str:
        name = f"{next(ids):06x}"
        pictures[name], urls[name] = ShownPicture(method=method, source=source, target=target), url
        return name

    judged = [show(None, None, t, encoder.show_photo(t, pairs)) for t in drawn.photos]
    judged += [
        show(method, *pairs[name], encoder.show_result(name, method))
        for name, method in drawn.generated
    ]
    random.shuffle(judged)
    compared: dict[str, tuple[str, str]] = {}
    asked: dict[str, dict[str, Any]] = {}
    for name, both in drawn.compared:
        first, second = (
            show(method, *pairs[name], encoder.show_result(name, method))
            for method in random.sample(both, 2)
        )
        number = f"{next(ids):06x}"
        compared[number] = (first, second)
        asked[number] = {
            "person": encoder.show_source(pairs[name].source),
            "truth": encoder.show_photo(pairs[name].target, pairs),
            "pictures": [first, second],
        }
    key = StudyKey(
        made_by=f"mcld {__version__}",
        seed=plan.seed,
        seconds=plan.seconds,
        size=size,
        dataset=str(requests[0].dataset),
        protocol_name=_PROTOCOL.name,
        protocol_hash=_PROTOCOL.hash,
        methods={request.name: str(request.save_path) for request in requests},
        pictures=dict(sorted(pictures.items())),
        judged=judged,
        compared=compared,
    )
    shown = {
        "seconds": plan.seconds,
        "pictures": dict(sorted(urls.items())),
        "judged": judged,
        "compared": asked,
    }
    key = key.identify(hashlib.sha256(json.dumps(shown).encode()).hexdigest())
    page = _render({"study": key.study, **shown})
    if len(page) > LARGEST_PAGE:
        raise SettingsError(
            f"the page would have {len(page) / 1e6:.0f} MB, and mail takes"
            f" {LARGEST_PAGE / 1e6:.0f}: give fewer --pictures or --comparisons"
        )
    _write(folder, key, page)
    return Study(folder / PAGE_FILE, key, [*drawn.notes, *encoder.list_notes()])


def _list_common(listings: Sequence[dict[str, Listing]], size: str) -> dict[str, PairNames]:
    """The pairs of a size of which all methods have the result."""
    if any(size not in listing for listing in listings):
        return {}
    first, *others = (listing[size] for listing in listings)
    return {
        name: first.pairs[name]
        for name in first.present
        if all(name in other.files for other in others)
    }


def _draw(
    pairs: dict[str, PairNames], methods: Sequence[str], plan: Plan, random: Random
) -> _Drawing:
    """Draw what is shown: as far as there are enough photos, none of them twice."""
    names = list(pairs)
    random.shuffle(names)
    photos = list(dict.fromkeys(pairs[name].target for name in names))
    count = min(plan.pictures, len(photos), len(names))
    if count < len(methods):
        raise InputError(
            f"{len(photos)} photos and {len(methods)} methods: each needs a picture to be judged"
        )
    notes = []
    if count < plan.pictures:
        notes.append(
            f"{count} real and {count} generated pictures, not {plan.pictures}: the results that"
            f" all methods have are of {len(photos)} photos"
        )
    real = photos[:count]
    seen = Counter(real)

    def take() -> str:
        """The next pair, of a photo that was shown as seldom as any."""
        name = min(names, key=lambda name: seen[pairs[name].target])
        names.remove(name)
        seen[pairs[name].target] += 1
        return name

    generated = [(take(), methods[k % len(methods)]) for k in range(count)]
    if both := {pairs[name].target for name, _ in generated} & set(real):
        notes.append(
            f"{len(both)} photos are also the truth of a generated picture, for want of others:"
            " whoever sees both can tell which is which"
        )
    contests = list(combinations(methods, 2))
    many = min(plan.comparisons, len(names)) if contests else 0
    if contests and many < plan.comparisons:
        notes.append(
            f"{many} comparisons, not {plan.comparisons}: there are no more pairs of which all"
            " methods have the result"
        )
    compared = [(take(), contests[k % len(contests)]) for k in range(many)]
    return _Drawing(real, generated, compared, notes)


@dataclass
class _Encoder:
    """Reads pictures, and makes data URLs of one size and one format of all of them."""

    request: EvaluationRequest
    size: str
    files: dict[str, dict[str, ResultFile]]
    """Method -> name of the pair -> its result."""
    on_picture: Callable[[int, int], None]
    total: int = 0
    done: int = 0
    small: set[str] = field(default_factory=set)
    """Photos that were enlarged."""

    def show_result(self, name: str, method: str) -> str:
        """A result as a data URL."""
        file = self.files[method][name]
        try:
            return self._encode(read_result(file, self.size, _PROTOCOL))
        except InputError as error:
            reason = str(error).removeprefix(f"{file.path} ")
            raise InputError(f"{file.path}: {reason}") from error

    def show_photo(self, target: str, pairs: dict[str, PairNames]) -> str:
        """The true picture of a target as a data URL."""
        name = next(name for name in pairs if pairs[name].target == target)
        return self._read(self.request.find_truth(self.size, name, target))

    def show_source(self, source: str) -> str:
        """A source photo as a data URL."""
        return self._read(DatasetLayout(self.request.dataset).image("test", source))

    def list_notes(self) -> list[str]:
        """What to know of the photos, in words."""
        if not self.small:
            return []
        height, width = RESULT_SIZES[self.size]
        few = f"{len(self.small)} photos are smaller than {width}x{height}"
        return [f"{few} and were enlarged: they look softer than they are"]

    def _read(self, path: Path) -> str:
        image = read_image(path)
        if is_smaller(image, RESULT_SIZES[self.size]):
            self.small.add(str(path))
        return self._encode(make_photo(image, self.size, _PROTOCOL))

    def _encode(self, image: Pixels) -> str:
        """A JPEG without a word about where it came from: photos and results look alike in this."""
        self.done += 1
        self.on_picture(self.done, self.total)
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=_QUALITY, subsampling=0, optimize=True)
        return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _render(content: dict[str, Any]) -> str:
    """The page. Its policy lets nothing run but its own script, and nothing be fetched."""
    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined
    )
    style, script = ((here / f"study.{kind}").read_text("utf-8") for kind in ("css", "js"))
    return environment.get_template("study.html.jinja").render(
        style=style,
        script=script,
        style_hash=_hash_source(style),
        script_hash=_hash_source(script),
        content=json.dumps(content).replace("<", "\\u003c"),
        judged=len(content["judged"]),
        compared=len(content["compared"]),
    )


def _hash_source(text: str) -> str:
    """What a content security policy knows a script or style by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _write(folder: Path, key: StudyKey, page: str) -> None:
    """Write key and page, unless another study's answers could then not be scored."""
    if (folder / KEY_FILE).exists() and read_key(folder).study != key.study:
        raise InputError(
            f"{folder} holds another study, whose answers could not be scored without its"
            f" {KEY_FILE}: give --study another folder"
        )
    write_json(folder / KEY_FILE, key.model_dump())
    write_text(folder / PAGE_FILE, page)
