"""Train the small network of `mcld.estimators.body` anew, on generated people.

    make body-network

generates 6,000 pictures in build/body (it goes on if broken off), trains on what the landmark
network finds in them, and writes mcld/estimators/body/weights/iuv.onnx.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import onnx_ir
import torch
from body_network import BodyNetwork, BodyTensors
from half_weights import store_half
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from mcld.errors import MCLDError
from mcld.estimators.body.frame import INPUT_SIZE, Frame, choose_frame, frame_body
from mcld.estimators.body.landmarks import CROP_SIZE, LandmarkReader, Landmarks
from mcld.export.onnx_files import trace
from mcld.machine.files import write_whole
from mcld.machine.workers import work_in_processes
from mcld.mannequin.body_data import BodyExample, make_example

CHUNK = 50
HELD_OUT = 200
KEYPOINTS = (0, 2, 5, 7, 8, *range(11, 17), *range(23, 29))
"""The landmarks that files of keypoints have, too: COCO's 17."""
WEIGHTS = Path("build/body/iuv.safetensors")
GRAPH = Path("mcld/estimators/body/weights/iuv.onnx")

T = TypeVar("T")
reader = cache(LandmarkReader)


def generate(folder: Path, seed: int, chunk: int) -> None:
    """Write one file of examples, unless it is there."""
    path = folder / f"{seed}-{chunk:05d}.npz"
    if path.exists():
        return
    numbers = range(chunk * CHUNK, (chunk + 1) * CHUNK)
    found = [e for k in numbers if (e := make_example(seed, k, reader())) is not None]
    with write_whole(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            places=np.stack([e.landmarks.places for e in found]),
            visibility=np.stack([e.landmarks.visibility for e in found]),
            silhouette=np.stack([np.rint(e.landmarks.silhouette * 255) for e in found]).astype(
                np.uint8
            ),
            inside=np.stack([e.inside for e in found]),
            iuv=np.stack([e.iuv for e in found]),
        )


def load(folder: Path) -> list[BodyExample]:
    """All examples of a folder."""
    examples = []
    nowhere = np.zeros(2, np.float32)
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            parts = {name: file[name] for name in file}
        for k in range(len(parts["places"])):
            found = Landmarks(
                1.0,
                parts["places"][k],
                parts["visibility"][k],
                parts["silhouette"][k],
                nowhere,
                nowhere,
            )
            examples.append(BodyExample(found, parts["inside"][k], parts["iuv"][k]))
    return examples


def spoil(rng: np.random.Generator, example: BodyExample) -> tuple[Landmarks, bool]:
    """Landmarks as they are found in worse photos, or as files of keypoints have them (True)."""
    found = example.landmarks
    places, seen = found.places.copy(), found.visibility.copy()
    shape = found.silhouette.astype(np.float32) / 255
    spread = np.ptp(places[:, :2], axis=0).max()
    places += rng.normal(0, 0.004 * spread, places.shape)
    if rng.random() < 0.2:
        places[rng.random(33) < 0.1, :2] += rng.normal(0, 0.04 * spread, 2)
    keypoints = rng.random() < 0.2
    if keypoints:
        seen[~draw_known(rng, example)] = -1
        places[:, 2] = 0
        shape[:] = 0
    elif rng.random() < 0.08:
        seen[rng.random(33) < 0.15] = -1
    if rng.random() < 0.2:  # a piece of the silhouette is lost
        y, x = rng.integers(0, CROP_SIZE, 2)
        h, w = rng.integers(8, 70, 2)
        shape[y : y + h, x : x + w] = 0
    places[seen < 0] = 0
    spoilt = found._replace(places=places.astype(np.float32), visibility=seen, silhouette=shape)
    return spoilt, keypoints


def draw_known(rng: np.random.Generator, example: BodyExample) -> NDArray[np.bool_]:
    """Which landmarks a file of keypoints has: those in the photo, most of them."""
    known = np.zeros(33, bool)
    known[list(KEYPOINTS)] = rng.random(len(KEYPOINTS)) < 0.97
    x, y = np.floor(example.landmarks.places[:, :2].T * CROP_SIZE).astype(int)
    in_crop = (x >= 0) & (y >= 0) & (x < CROP_SIZE) & (y < CROP_SIZE)
    in_photo = np.zeros(33, bool)
    in_photo[in_crop] = example.inside[y[in_crop], x[in_crop]]
    if rng.random() < 0.7 and (known & in_photo).sum() >= 4:
        known &= in_photo
    if rng.random() < 0.25:  # as of people from behind
        known[[0, 2, 5]] = False
    return known


def prepare(rng: np.random.Generator | None, example: BodyExample) -> tuple[BodyTensors, Tensor]:
    """Input and map, uint8 [96, 96, 3], of one example; spoilt where there is `rng`."""
    found, keypoints = example.landmarks, False
    found = found._replace(silhouette=found.silhouette.astype(np.float32) / 255)
    frame = choose_frame(found, example.inside) or Frame(0, 0, 1)
    inside = example.inside
    if rng is not None:
        found, keypoints = spoil(rng, example)
        size = frame.size * rng.uniform(0.94, 1.3 if keypoints else 1.12)
        shift = rng.normal(0, 0.025, 2) * size + (frame.size - size) / 2
        frame = Frame(frame.left + shift[0], frame.top + shift[1], size)
    body = frame_body(found, inside, frame)
    middle = (np.arange(INPUT_SIZE) + 0.5) / INPUT_SIZE * frame.size
    x = np.floor((frame.left + middle) * CROP_SIZE).astype(int)
    y = np.floor((frame.top + middle) * CROP_SIZE).astype(int)
    truth = example.iuv[np.clip(y, 0, CROP_SIZE - 1)][:, np.clip(x, 0, CROP_SIZE - 1)].copy()
    truth[(y < 0) | (y >= CROP_SIZE)] = 0
    truth[:, (x < 0) | (x >= CROP_SIZE)] = 0
    return BodyTensors(*map(torch.from_numpy, body)), torch.from_numpy(truth)


def batches(
    examples: list[BodyExample], size: int, seed: int
) -> Iterator[tuple[BodyTensors, Tensor]]:
    """Endless batches, each epoch in another order."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(examples))
        for start in range(0, len(order) - size + 1, size):
            made = [prepare(rng, examples[k]) for k in order[start : start + size]]
            bodies, maps = zip(*made, strict=True)
            yield (
                BodyTensors(*(torch.cat(parts) for parts in zip(*bodies, strict=True))),
                torch.stack(maps),
            )


def prefetch(source: Iterator[T]) -> Iterator[T]:
    """The next batch is made while this one is learnt from."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, source)
        while True:
            made = coming.result()
            coming = pool.submit(next, source)
            yield made


def measure_loss(labels: Tensor, uv: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Of labels, and of U and V where the body is."""
    label = truth[..., 0].long()
    weight = torch.where(label > 0, 1.0, 0.7)
    cross = functional.cross_entropy(labels, label, reduction="none", label_smoothing=0.01)
    n, y, x = torch.nonzero(label, as_tuple=True)
    off = uv[n, label[n, y, x] - 1, :, y, x] - truth[n, y, x, 1:].float() / 255
    return (cross * weight).sum() / weight.sum(), off.abs().mean()


@torch.inference_mode()
def evaluate(network: BodyNetwork, examples: list[BodyExample]) -> str:
    """Silhouette IoU, share of right labels, error of U and V, on examples as they are."""
    network.eval()
    figures = []
    for example in examples:
        body, truth = prepare(None, example)
        said, uv = network(*body)
        label, true = said.argmax(1)[0], truth[..., 0].long()
        both, either = (label > 0) & (true > 0), (label > 0) | (true > 0)
        right = both & (label == true)
        y, x = torch.nonzero(right, as_tuple=True)
        off = (uv[0, true[y, x] - 1, :, y, x] - truth[y, x, 1:].float() / 255).abs().mean()
        figures.append((both.sum() / either.sum(), right.sum() / both.sum(), off))
    iou, labels, uv = np.nanmean(np.array(figures), 0)
    return f"IoU {iou:.3f}, labels {labels:.3f}, UV {uv:.3f}"


def train(examples: list[BodyExample], seconds: float, batch: int, rate: float) -> BodyNetwork:
    """Train for so long; the average of the weights is what counts."""
    torch.manual_seed(0)
    network = BodyNetwork().to(memory_format=torch.channels_last)
    mean = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995), use_buffers=True
    )
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-3)
    print(
        f"{sum(p.numel() for p in network.parameters()):,} parameters; {len(examples)} examples",
        flush=True,
    )
    source = prefetch(batches(examples[HELD_OUT:], batch, 1))
    start, seen, told = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - start) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, seen / 3000) * (0.5 + 0.5 * np.cos(np.pi * done))
        network.train()
        body, truth = next(source)
        label, uv = measure_loss(*network(*body), truth)
        loss = label + 4 * uv
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        mean.update_parameters(network)
        seen += batch
        if done >= told:
            figures = evaluate(mean.module, examples[:60])
            print(f"{done:.0%} {seen} seen, loss {label:.3f} {uv:.3f}; {figures}", flush=True)
            told = done + 0.05
            write(mean.module, WEIGHTS)
    print(evaluate(mean.module, examples[:HELD_OUT]), flush=True)
    return mean.module


def write(network: BodyNetwork, path: Path) -> None:
    weights = {n: p.half() if p.is_floating_point() else p for n, p in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_whole(path) as temporary:
        save_file({n: p.contiguous() for n, p in weights.items()}, temporary)


def write_graph(network: BodyNetwork, path: Path) -> None:
    """As ONNX Runtime runs it: one body at a time, its weights in half precision."""
    one = BodyTensors(
        torch.rand(1, 33, 3),
        torch.rand(1, 33),
        torch.rand(1, 1, INPUT_SIZE, INPUT_SIZE),
        torch.ones(1, 1, INPUT_SIZE, INPUT_SIZE),
    )
    traced = trace(network.eval(), tuple(one), BodyTensors._fields, ("labels", "uv"))
    model = onnx_ir.to_proto(traced)
    store_half(model)
    with write_whole(path) as temporary:
        onnx.save(model, temporary)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=6000)
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=3e-3)
    options = parser.parse_args()
    folder = Path("build/body")
    folder.mkdir(parents=True, exist_ok=True)
    chunks = list(range(options.examples // CHUNK))
    for k, _ in enumerate(
        work_in_processes(partial(generate, folder, 0), chunks, 2, "the mannequin world")
    ):
        if k % 10 == 0:
            print(f"{k * CHUNK} pictures", flush=True)
    network = train(load(folder), options.minutes * 60, options.batch, options.rate)
    write(network, WEIGHTS)
    write_graph(network.cpu(), GRAPH)


if __name__ == "__main__":
    try:
        main()
    except MCLDError as error:
        raise SystemExit(f"error: {error}") from error
