"""How fast the parts are on this machine."""

import json
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

PEOPLE = 4
PICTURES = 8
PHOTOS = 48
FIRST = 8
LOADED_SAMPLES = 2400


def report(name: str, measure: Callable[[], dict[str, float]]) -> None:
    """Print what `measure` returns as one JSON line each, with the machine it was measured on."""
    for figure, value in measure().items():
        tell(name, figure, value)


def tell(name: str, figure: str, value: float) -> None:
    """Print one figure as a JSON line, with the machine it was measured on."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    line = {"figure": f"{name}: {figure}", "value": value, "machine": machine}
    print(json.dumps(line), flush=True)


def render_person(index: int) -> int:
    from mcld.mannequin.world import identity, pose, render

    person = identity(0, index)
    for picture in range(PICTURES):
        render(person, pose(0, index, picture), (256, 176))
    return PICTURES


def render() -> dict[str, float]:
    """256x176 pictures a second over all cores, painting and skinning included."""
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        list(pool.map(render_person, range(workers)))  # start the processes, load the meshes
        start = time.perf_counter()
        made = sum(pool.map(render_person, range(workers, workers + workers * PEOPLE)))
        return {"pictures/s": round(made / (time.perf_counter() - start), 2)}


def texture() -> dict[str, float]:
    """Milliseconds of `extract_texture` for one picture, decoded pictures given.

    Beside them, in one thread, how long it inpaints, of that what it does where no hole is filled,
    and how many holes there are.
    """
    from unittest.mock import patch

    import cv2
    import numpy as np

    from mcld.estimators import texture as module
    from mcld.mannequin.world import identity, pose, render

    cv2.setNumThreads(1)
    inpaint, filled = module.inpaint, 0
    seconds = {"inpainting": 0.0, "without a hole": 0.0}

    def measured(colours, holes, reach):
        nonlocal filled
        start = time.perf_counter()
        inpaint(colours.copy(), holes, np.zeros_like(reach))
        middle = time.perf_counter()
        inpaint(colours, holes, reach)
        seconds["without a hole"] += middle - start
        seconds["inpainting"] += time.perf_counter() - middle
        filled += int((holes & reach).sum())

    figures = {}
    for height, width in ((256, 176), (1101, 750)):
        image, iuv = render(identity(0, 0), pose(0, 0, 0), (height, width))
        module.extract_texture(image, iuv)
        times = {"": [], "inpainting": [], "without a hole": []}
        for _ in range(25):
            start = time.perf_counter()
            module.extract_texture(image, iuv)
            times[""].append(time.perf_counter() - start)
            seconds, filled = dict.fromkeys(seconds, 0.0), 0
            with patch.multiple(module, inpaint=measured, _THREADS=1):
                module.extract_texture(image, iuv)
            for part, value in seconds.items():
                times[part].append(value)
        for part, values in times.items():
            what = f"{part}, ms" if part else "ms"
            figures[f"{what}, {width}x{height}"] = round(1000 * median(values), 1)
        figures[f"holes filled, {width}x{height}"] = filled
    return figures


def prepare() -> dict[str, float]:
    """Pictures a second of each stage of `mcld prepare` on 750x1101 photos, in two processes.

    Reading, checking and writing the files is counted. The pose stage checks maps that are there;
    DensePose and insightface are measured where they and their weights are installed.
    """
    from mcld.dataset.layout import DatasetLayout, flat_name
    from mcld.dataset.pictures import write_iuv, write_jpeg
    from mcld.errors import MCLDError
    from mcld.mannequin.world import identity, pose, render
    from mcld.prepare.dataset import STAGES, PrepareRequest, prepare_dataset
    from mcld.settings import load_settings

    options = load_settings(None, ["prepare.pose_estimator=precomputed"]).prepare
    networks = load_settings(None, []).prepare
    figures = {}
    with TemporaryDirectory() as folder:
        root = Path(folder)
        layout = DatasetLayout(root)
        names: dict[str, list[str]] = {"train": [], "test": []}
        for index in range(PHOTOS):
            path = f"WOMEN/Tees_Tanks/id_{index:08d}/01_1_front.jpg"
            image, iuv = render(identity(0, index), pose(0, index, 0), (1101, 750))
            name = flat_name(path)
            names["train" if index else "test"].append(name)
            write_jpeg(root / path, image)
            write_iuv(layout.densepose("train" if index else "test", name[:-4]), iuv)
        for split in names:
            layout.write_names(split, names[split])
            layout.write_pairs(split, [])
        for stage, how, what in (
            *((stage, options, stage) for stage in STAGES),
            ("pose", networks, "pose, DensePose"),
        ):
            request = PrepareRequest(root, (stage,), overwrite=what == "pose, DensePose")
            start: list[float] = []

            def on_progress(_: str, done: int, __: int, start: list[float] = start) -> None:
                if done == FIRST:  # the processes have started and loaded what they need
                    start.append(time.perf_counter())

            try:
                prepare_dataset(request, how, on_progress)
            except MCLDError:
                continue
            figures[f"{what}, pictures/s"] = round(
                (PHOTOS - FIRST) / (time.perf_counter() - start[0]), 2
            )
    return figures


def evaluate() -> dict[str, float]:
    """Pictures a second of PSNR, SSIM and SSIM-256, beside a loop over scikit-image.

    Both get pictures that were read already; ours run in a thread a core, as in `mcld evaluate`.
    """
    from concurrent.futures import ThreadPoolExecutor

    import cv2
    import numpy as np
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    from mcld.evaluate.metrics import psnr, ssim, ssim_256
    from mcld.mannequin.world import identity, pose, render

    def ours(pair):
        return psnr(*pair), ssim(*pair), ssim_256(*pair)

    def skimage(generated, truth):
        a, b = generated / np.float32(255), truth / np.float32(255)
        peak_signal_noise_ratio(b, a, data_range=1)
        structural_similarity(a, b, win_size=51, data_range=1, channel_axis=-1)
        c, d = generated.astype(np.float32), truth.astype(np.float32)
        gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        structural_similarity(c, d, channel_axis=-1, data_range=np.ptp(c), **gaussian)

    cv2.setNumThreads(1)
    figures = {}
    for height, width in ((256, 176), (512, 352)):
        people = [render(identity(0, k), pose(0, k, 0), (height, width))[0] for k in range(4)]
        pairs = [(a, b) for a in people for b in people if a is not b] * 4
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(ours, pairs))  # compiled now
            start = time.perf_counter()
            list(pool.map(ours, pairs))
            rate = len(pairs) / (time.perf_counter() - start)
        start = time.perf_counter()
        for pair in pairs:
            skimage(*pair)
        loop = len(pairs) / (time.perf_counter() - start)
        figures[f"pictures/s, {width}x{height}"] = round(rate, 1)
        figures[f"scikit-image, pictures/s, {width}x{height}"] = round(loop, 1)
        figures[f"times as fast, {width}x{height}"] = round(rate / loop, 1)
    return figures


def loader() -> dict[str, float]:
    """Training samples a second from the cache at 512x512, latents as Stable Diffusion's.

    Two loading processes on all cores; the files are in the page cache, as after a first epoch.
    """
    import torch
    from torch.utils.data import DataLoader

    from benchmarks.train import sd_cache
    from mcld.settings import TrainSettings
    from mcld.train.samples import BatchSampler, TrainingSamples, collate

    with TemporaryDirectory() as folder:
        cache, stems = sd_cache(Path(folder))
        pairs = torch.cartesian_prod(torch.arange(len(stems)), torch.arange(len(stems)))
        samples = TrainingSamples(cache, stems, pairs, torch.ones(1, 768), TrainSettings())
        batches = DataLoader(
            samples,
            batch_sampler=BatchSampler(0, LOADED_SAMPLES, 12, 0, 1),
            collate_fn=collate,
            num_workers=2,
        )
        iterator = iter(batches)
        for _ in range(FIRST):
            next(iterator)
        start = time.perf_counter()
        left = sum(1 for _ in iterator)
        seconds = time.perf_counter() - start
        size = cache.size(stems) / len(stems)
    return {"samples/s": round(12 * left / seconds, 1), "kB a picture": round(size / 1000, 1)}


MEASURES = {
    "render": render,
    "texture": texture,
    "prepare": prepare,
    "evaluate": evaluate,
    "loader": loader,
}
