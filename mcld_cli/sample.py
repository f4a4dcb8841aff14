"""`mcld sample`: one picture, or a whole split, repainted in new poses."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mcld.machine.processes import is_main
from mcld.prepare.raw import is_plain
from mcld.settings import Settings, load_settings
from mcld_cli import console
from mcld_cli.launch import Processes, launch
from mcld_cli.options import (
    HOW,
    SAMPLING,
    Config,
    Overrides,
    Values,
    Weights,
    check_device,
    check_signing,
    demand,
    make_overrides,
    reading_options,
    refuse,
    setting_options,
    with_options,
)

if TYPE_CHECKING:
    from mcld.sample.request import PictureRequest, SequenceRequest, SplitRequest

_PICTURE, _SEQUENCE, _SPLIT = "One picture", "A sequence", "A whole split"
_picture_option = partial(typer.Option, rich_help_panel=_PICTURE)
_sequence_option = partial(typer.Option, rich_help_panel=_SEQUENCE)
_split_option = partial(typer.Option, rich_help_panel=_SPLIT)


FLAGS = {
    **reading_options(_PICTURE),
    **setting_options(_PICTURE, fit_body="prepare.fit_body", engine="sample.engine"),
    **setting_options(HOW, keep="sample.keep"),
    **setting_options(_SPLIT, dataset="sample.dataset"),
    **SAMPLING,
}


@with_options(flags=FLAGS)
def sample(
    *,
    source: Annotated[
        list[Path] | None,
        _picture_option(
            metavar="JPG",
            help="Photo of the person. May be repeated: more photos show more of them.",
        ),
    ] = None,
    pose: Annotated[
        Path | None,
        _picture_option(
            metavar="FILE",
            help="The new pose: a photo of somebody in it, a DensePose IUV map, keypoints (.json,"
            " .csv), body parameters (.npz), or a name of --list-poses. For a sequence: a folder"
            " of poses, a video, a motion (.npz), or a name.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        _picture_option(
            metavar="PNG",
            help="Where the picture goes. Of a sequence: .mp4, .webm, .gif, .webp, or a folder.",
        ),
    ] = None,
    pose_kind: Annotated[
        Literal["auto", "iuv", "photo", "keypoints", "body", "gallery"],
        _picture_option(help="What --pose is; auto: its name and content tell."),
    ] = "auto",
    list_poses: Annotated[
        bool,
        _picture_option(
            "--list-poses", help="Show the poses that come along, motions too, and end."
        ),
    ] = False,
    source_pose: Annotated[
        list[Path] | None,
        _picture_option(
            metavar="PNG",
            help="The source's own IUV map, in place of an estimated one; one for each --source.",
        ),
    ] = None,
    num_images: Annotated[
        int, _picture_option(metavar="N", min=1, help="Pictures, one for each of N seeds.")
    ] = 1,
    sheet: Annotated[
        bool,
        _picture_option(
            "--sheet", help="Also write source, pose, texture and result side by side."
        ),
    ] = False,
    attention_maps: Annotated[
        bool,
        _picture_option(
            "--attention-maps", help="Also write where source, texture and face are looked at."
        ),
    ] = False,
    attention_format: Annotated[
        Literal["png", "pdf", "svg"] | None,
        _picture_option(help="Of the sheet of --attention-maps. (default: png)"),
    ] = None,
    fps: Annotated[
        float | None,
        _sequence_option(metavar="X", help="Frames a second. (default: the poses' own, or 25)"),
    ] = None,
    start: Annotated[
        float | None,
        _sequence_option("--from", metavar="S", help="Begin at so many seconds of the poses."),
    ] = None,
    end: Annotated[
        float | None,
        _sequence_option("--to", metavar="S", help="End at so many seconds of them."),
    ] = None,
    split: Annotated[
        str | None, _split_option(metavar="SPLIT", help="Sample every pair of test or train.")
    ] = None,
    save_path: Annotated[
        Path | None,
        _split_option(metavar="DIR", help="Folder of the results, resumed if it holds some."),
    ] = None,
    limit: Annotated[
        int | None, _split_option(metavar="N", min=1, help="Only the first N pairs.")
    ] = None,
    processes: Processes = None,
    weights: Weights = None,
    flags: Values,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Repaint the person of one picture in another pose; in many; or a split.

    The texture map and the face of the source are found beside it when it
    lies in a prepared dataset, and else computed from the photo. Same seed,
    same picture, on the same machine. A split goes on where an earlier run
    was broken off, and so does a sequence.

    Examples:

      mcld sample --source A.jpg --pose B.png --out out.png

      mcld sample --source A.jpg --pose B.jpg --out out.png --num-images 4 --sheet

      mcld sample --source A.jpg --source B.jpg --pose walking --out out.png

      mcld sample --source A.jpg --pose walk --out out.mp4 --sheet

      mcld sample --source A.jpg --pose somebody.mp4 --out out.webm

      mcld sample --split test --dataset dataset/mannequin --save-path results

      mcld sample --split test --save-path results --weights my/pipeline
    """
    if list_poses:
        _list_poses()
        return
    times: Values = {"--fps": fps, "--from": start, "--to": end}
    one: Values = {"--source": source, "--pose": pose, "--out": out}
    if split is None and save_path is None:
        demand(one, "give --source, --pose and --out, or --split and --save-path")
        whole = {"--dataset": flags.get("sample.dataset"), "--limit": limit}
        refuse(whole, "goes with --split")
        if not attention_maps:
            refuse({"--attention-format": attention_format}, "goes with --attention-maps")
    else:
        demand({"--split": split, "--save-path": save_path}, "--split and --save-path go together")
        one |= {
            "--source-pose": source_pose,
            "--num-images": num_images > 1,
            "--sheet": sheet,
            "--attention-maps": attention_maps,
            "--attention-format": attention_format,
            "--pose-estimator": flags.get("prepare.pose_estimator"),
            "--person": flags.get("prepare.person"),
            "--fit-body": flags.get("prepare.fit_body"),
            **times,
        }
        refuse(one, "goes with one picture, not with --split")
    settings = load_settings(config, make_overrides(flags, overrides))
    check_device(settings.sample, processes)
    check_signing(settings.sample)
    from mcld.sample.frames import Span
    from mcld.sample.request import PictureRequest, SequenceRequest, SplitRequest

    graphs = {"--engine onnx": settings.sample.engine == "onnx"}
    if split is not None and save_path is not None:
        refuse(graphs, "goes with one picture, not with --split")
        whole_split = SplitRequest(settings.sample.dataset, split, save_path, weights, limit)
        _sample_split(whole_split, settings, processes)
    elif source and pose and out and _is_sequence(pose, out):
        only = {"--num-images": num_images > 1, "--attention-maps": attention_maps, **graphs}
        refuse(only, "goes with one picture, not with a sequence")
        refuse({"--fit-body": flags.get("prepare.fit_body")}, "goes with one picture")
        _sample_sequence(
            SequenceRequest(
                tuple(source),
                pose,
                out,
                weights,
                settings.prepare,
                pose_kind,
                settings.sample.seed,
                sheet,
                tuple(source_pose or ()),
                Span(fps, start or 0.0, end),
            ),
            settings,
            processes,
        )
    elif source and pose and out:
        refuse(times, "goes with a sequence")
        refuse({"--processes": processes}, "goes with a sequence, or with --split")
        _sample_picture(
            PictureRequest(
                tuple(source),
                pose,
                out,
                weights,
                settings.prepare,
                pose_kind,
                settings.sample.seed,
                num_images,
                sheet,
                attention_maps,
                attention_format or "png",
                tuple(source_pose or ()),
            ),
            settings,
        )


def _list_poses() -> None:
    from mcld.body.parameters import list_gallery, list_motions

    for name in list_gallery():
        console.say(name)
    console.say(f"Motions, for a sequence: {', '.join(list_motions())}")
    console.show_result({"poses": list_gallery(), "motions": list_motions()})


# What can be refused at once is refused before the seconds that the libraries take.


def _sample_picture(request: "PictureRequest", settings: Settings) -> None:
    from mcld.sample.engine import Engine, OnnxEngine, resolve_engine
    from mcld.sample.picture import sample_picture

    engine: Engine
    if resolve_engine(request, settings) == OnnxEngine.name:
        engine = OnnxEngine(settings.sample)
    else:
        with console.importing_diffusers():
            from mcld.sample.torch_engine import TorchEngine

        engine = TorchEngine(request, settings)
    with console.progress("Sampling", "steps") as count:
        written = sample_picture(request, settings, engine=engine, say=console.say, on_step=count)
    for path in written:
        console.say(f"Wrote {path}")
    console.show_result({"written": written})


def _is_sequence(pose: Path, out: Path) -> bool:
    """Whether many frames are asked for, by the name of the result or by what the poses are."""
    from mcld.sample.frames import is_sequence
    from mcld.sample.request import is_sequence_name

    return is_sequence_name(out) or is_sequence(pose)


def _sample_sequence(request: "SequenceRequest", settings: Settings, processes: int | None) -> None:
    if processes:
        launch(processes)
        return
    with console.importing_diffusers():
        from mcld.sample.sequence import sample_sequence

    with console.StageProgress("frames") as progress:
        written = sample_sequence(
            request,
            settings,
            say=console.say,
            on_pose=partial(progress.count, "Reading poses"),
            on_frame=partial(progress.count, "Sampling"),
        )
    if is_main():
        for path in written:
            console.say(f"Wrote {path}")
        console.show_result({"written": written})


def _sample_split(request: "SplitRequest", settings: Settings, processes: int | None) -> None:
    if processes:
        launch(processes)
        return
    with console.importing_diffusers():
        from mcld.sample.split import sample_split

    with console.progress("Sampling", "pictures") as count:
        made = sample_split(request, settings, say=console.say, on_picture=count)
    if is_main():
        console.say(f"The pictures are in {request.save_path}: 256/ and 512/.")
        if request.split == "test" and not is_plain(request.dataset):  # whose truth is not known
            console.say("Next:")
            console.show_command(
                *("mcld", "evaluate", "--save-path", request.save_path),
                *("--dataset", request.dataset),
            )
        console.show_result(
            {
                "save_path": request.save_path,
                "dataset": request.dataset,
                "split": request.split,
                "made": made,
            }
        )
