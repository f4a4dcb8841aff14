"""One picture: a photo and a target pose in, the person in that pose out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from mcld.dataset.outputs import hash_content
from mcld.dataset.pictures import colour_iuv, write_png
from mcld.dataset.sheet import contact_sheet
from mcld.machine.signing import open_signer
from mcld.networks.places import read_face_embedder
from mcld.person.check import name_files
from mcld.person.person import warn_of_no_face
from mcld.person.reader import PersonReader
from mcld.sample.engine import Engine, OnStep
from mcld.sample.request import PictureRequest
from mcld.sampling.background import finish_pictures
from mcld.sampling.record import make_provenance
from mcld.settings import Settings

_CELL = 384
"""Height of one picture on the sheet, pixels."""


def sample_picture(
    request: PictureRequest,
    settings: Settings,
    *,
    engine: Engine,
    say: Callable[[str], None],
    on_step: OnStep,
) -> list[Path]:
    """Repaint the person of `request.sources`; return the files written.

    A picture has the first source's width and height, and carries how it was made as text metadata.

    Args:
        request: what to sample.
        settings: `sample`, `scheduler` and the weights of `prepare`'s estimators count.
        engine: `OnnxEngine` or `TorchEngine`, as `resolve_engine` says.
        say: told, in one line each, what the user should know.
        on_step: called with (steps done, steps to do).

    Raises:
        InputError, WeightsError, SettingsError or MCLDError: before anything is written, but for a
            disk that fills up, on which the files that were written stay.
    """
    embedder = read_face_embedder(request.weights, settings)
    reader = PersonReader(settings.prepare, engine.device, say, embedder)
    person = reader.gather(request.sources, request.source_poses)
    warn_of_no_face(person, say)
    iuv = reader.pose_of(person, request.pose, request.pose_kind)
    options = engine.open(say)
    signer = open_signer(settings.sample.c2pa_certificate, settings.sample.c2pa_key)

    seeds = request.seeds
    if len(seeds) > 1 and options.num_inference_steps == 1:
        say("One step makes nearly the same picture of every seed: this network has no variety.")
    on_step(0, len(seeds) * options.num_inference_steps)
    pictures = engine.paint(person, iuv, seeds, on_step)

    read = [*request.sources, *request.source_poses, request.pose]
    record = {
        "source": name_files(request.sources),
        "pose": request.pose.name,
        **({"source_pose": name_files(request.source_poses)} if request.source_poses else {}),
        "files": [[file.name, found] for file in read if (found := hash_content(file))],
        **reader.record(),
        "seed": request.seed,
        "weights": engine.weights,
        "engine": engine.name,
        **options.record(),
    }
    size = person.photo.size
    results = finish_pictures(pictures, person, iuv, options)
    written = [request.picture(seed) for seed in seeds]
    for path, seed, result in zip(written, seeds, results, strict=True):
        made = make_provenance({**record, "seed": seed}, signer)
        write_png(path, np.asarray(result), made)
    provenance = make_provenance(record, signer)
    if request.sheet:
        columns = ["source", "pose", "texture", *(f"result, seed {seed}" for seed in seeds)]
        row = [person.photo, Image.fromarray(colour_iuv(iuv)), person.texture, *results]
        cell = (max(round(_CELL * size[0] / size[1]), _CELL // 2), _CELL)
        written.append(request.beside("sheet"))
        write_png(written[-1], contact_sheet(columns, [row], cell), provenance)
    if request.attention_maps:
        written += engine.write_attention(person, pictures[-1], provenance)
    return written
