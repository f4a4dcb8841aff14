"""The pipeline as its callers see it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import CLIPImageProcessor

from mcld.dataset.layout import DatasetLayout
from mcld.errors import InputError, WeightsError
from mcld.networks.folders import load_pipeline
from mcld.person import PersonReader
from mcld.pipeline import MCLDPipeline, warp_with_mirrored_head
from mcld.settings import PrepareSettings
from mcld.surface.charts import smpl_labels


@pytest.fixture
def person(dataset: DatasetLayout) -> dict:
    """The first training pair, as arguments of the pipeline."""
    source, target = (Path(name).stem for name in dataset.pairs("train")[0])
    found = PersonReader(PrepareSettings(), "cpu", print).person(dataset.image("train", source))
    return {
        "source": found.photo,
        "texture": found.texture,
        "pose": Image.open(dataset.densepose("train", target)),
        "face": found.face[None],
        "num_inference_steps": 3,
        "guidance_scale": 2.0,
    }


def run(pipeline: MCLDPipeline, person: dict, seed: int = 0, **changed) -> np.ndarray:
    generator = torch.Generator().manual_seed(seed)
    arguments = {**person, "generator": generator, "output_type": "np", **changed}
    return pipeline(**arguments).images


def test_same_seed_same_picture_other_seed_another(pipeline, person):
    first, again, other = (run(pipeline, person, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("condition", ["source", "texture", "pose", "face"])
def test_every_condition_counts(pipeline, person, condition):
    other = person[condition]
    other = -other if condition == "face" else other.rotate(180)
    assert np.abs(run(pipeline, person) - run(pipeline, person, **{condition: other})).max() > 2e-5


def test_a_textured_guider_sees_the_texture_map_warped_onto_the_pose(pipeline, person):
    plain = run(pipeline, person)
    guider = pipeline.pose_guider
    guider.add_texture()
    np.testing.assert_allclose(run(pipeline, person), plain, atol=1e-5)
    torch.nn.init.normal_(guider.patch_embedding.weight)
    photos, textures, poses = ([person[name]] for name in ("source", "texture", "pose"))
    inputs = pipeline.inputs(photos, textures, poses, person["face"], 64, 48)
    iuv = pipeline.pose_processor.preprocess(poses, 64, 48)
    assert torch.equal(inputs.pose[:, :3], iuv)
    seen = inputs.pose[0, 3:].any(dim=0)
    assert not seen[iuv[0, 2] == 0].any()
    assert seen.float().mean() > 0.1
    assert np.abs(run(pipeline, person) - plain).max() > 1e-3


def test_a_textured_decoder_is_given_the_pose_in_its_own_precision(pipeline, person):
    pipeline.pose_guider.add_texture()
    pipeline.vae.add_texture()
    torch.nn.init.normal_(pipeline.vae.textured_refinement.conv_out.weight, std=0.05)
    whole = run(pipeline, person)
    pipeline.to(dtype=torch.bfloat16)
    assert np.abs(run(pipeline, person) - whole).mean() < 0.05 * whole.std()


def test_what_is_warped_onto_a_pose_may_come_from_a_texture_map_of_another_size(person):
    pose = torch.from_numpy(np.array(person["pose"])).permute(2, 0, 1)
    small = person["texture"].resize((256, 256), Image.Resampling.NEAREST)
    whole, coarse = (warp_with_mirrored_head(pose, t) for t in (person["texture"], small))
    assert torch.equal(whole[:3], pose)
    assert torch.equal(coarse[:3], pose)
    shown = whole[3:].amax(dim=0) > 0
    seen = shown & (coarse[3:].amax(dim=0) > 0)
    assert seen.sum() > 0.8 * shown.sum() > 0
    assert (whole[3:, seen].float() - coarse[3:, seen].float()).abs().median() <= 8


def test_the_side_of_a_head_that_is_seen_stands_in_for_the_other(person):
    labels = smpl_labels()
    one_side = Image.fromarray(
        np.where(labels[..., None] == 23, 200, 0).astype(np.uint8).repeat(3, 2)
    )
    pose = torch.from_numpy(np.array(person["pose"])).permute(2, 0, 1)
    pose[2, :8], pose[2, 8:16], pose[2, 16:24] = 23, 24, 16
    shown = warp_with_mirrored_head(pose, one_side)[3:].amax(dim=0) > 0
    assert shown[:8].float().mean() > 0.9
    assert shown[8:16].float().mean() > 0.9
    assert not shown[16:24].any()


def test_no_face_is_a_face_of_zeros(pipeline, person):
    zeros = torch.zeros_like(person["face"])
    assert np.array_equal(run(pipeline, person, face=None), run(pipeline, person, face=zeros))


def test_pictures_are_squashed_not_cropped_before_an_encoder_that_crops(pipeline):
    """As the authors do: a head at the top edge must not be lost."""
    pipeline.feature_extractor = CLIPImageProcessor()
    tall = np.zeros((400, 200, 3), np.uint8)
    tall[:80], tall[-80:] = 255, 128
    (pixels,) = pipeline.encoder_pixels([Image.fromarray(tall)])
    assert pixels.shape == (3, 224, 224)
    squashed = Image.fromarray(tall).resize((512, 512), Image.Resampling.BICUBIC)
    wanted = CLIPImageProcessor()(images=squashed, return_tensors="pt").pixel_values[0]
    assert torch.equal(pixels, wanted)
    assert pixels[0, 20].mean() > pixels[0, -20].mean() > pixels[0, 112].mean()


@pytest.mark.parametrize("resample", ["bicubic", "nearest"])
def test_maps_are_resized_as_the_weights_were_trained(pipeline, resample, dataset):
    changed = MCLDPipeline(
        **pipeline.components, pose_resample=resample, num_inference_steps=1, guidance_scale=1.0
    )
    stem = Path(dataset.names("train")[0]).stem
    with Image.open(dataset.densepose("train", stem)) as pose:
        (read,) = changed.inputs([pose], [pose], [pose], None, 64, 48).pose
        wanted = pose.resize((48, 64), getattr(Image.Resampling, resample.upper()))
    assert torch.equal((read * 255).round().byte().permute(1, 2, 0), torch.tensor(np.array(wanted)))


def test_saved_and_loaded_it_has_the_same_weights_to_the_bit(pipeline, person, tmp_path):
    pipeline.save_pretrained(tmp_path / "saved")
    loaded = MCLDPipeline.from_pretrained(tmp_path / "saved")
    loaded.set_progress_bar_config(disable=True)
    for part in (*dict(pipeline.network.named_children()), "vae", "image_encoder"):
        weights = loaded.components[part].state_dict()
        for name, tensor in pipeline.components[part].state_dict().items():
            assert torch.equal(tensor, weights[name]), (part, name)
    # A matrix product may round otherwise where its weights lie otherwise in memory.
    np.testing.assert_allclose(run(pipeline, person), run(loaded, person), atol=1e-6)


def test_steps_and_guidance_come_with_the_weights(pipeline, person, tmp_path):
    pipeline.register_to_config(num_inference_steps=2, guidance_scale=1.5)
    pipeline.save_pretrained(tmp_path / "saved")
    loaded = load_pipeline(tmp_path / "saved")
    loaded.set_progress_bar_config(disable=True)
    told = run(loaded, person, num_inference_steps=2, guidance_scale=1.5)
    assert np.array_equal(run(loaded, person, num_inference_steps=None, guidance_scale=None), told)


def test_a_batch_is_its_pictures_one_by_one(pipeline, person):
    """With the starting noise given, sharing a batch changes nothing beyond rounding."""
    latents = torch.randn(2, 12, 8, 6, generator=torch.Generator().manual_seed(0))
    turned = {k: person[k].rotate(180) for k in ("source", "texture", "pose")}
    both = run(
        pipeline,
        {**person, **{k: [person[k], turned[k]] for k in turned}},
        face=person["face"].repeat(2, 1),
        latents=latents,
    )
    first = run(pipeline, person, latents=latents[:1])
    second = run(pipeline, person, latents=latents[1:], **turned)
    np.testing.assert_allclose(both, np.concatenate([first, second]), atol=1e-4)


@settings(max_examples=8, deadline=None)
@given(height=st.integers(1, 16), width=st.integers(1, 16))
def test_any_multiple_of_eight_is_a_size(height, width):
    from mcld.settings import load_settings
    from mcld.train.start import new_pipeline
    from tests.conftest import TINY

    pipeline = new_pipeline(load_settings(None, TINY))
    pipeline.set_progress_bar_config(disable=True)
    blank = Image.new("RGB", (30, 50))
    images = pipeline(
        blank,
        blank,
        blank,
        height=8 * height,
        width=8 * width,
        num_inference_steps=1,
        output_type="pt",
    ).images
    assert images.shape == (1, 3, 8 * height, 8 * width)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("pt", (1, 3, 64, 48)), ("np", (1, 64, 48, 3)), ("latent", (1, 12, 8, 6))],
)
def test_the_output_type_is_the_one_asked_for(pipeline, person, kind, shape):
    assert pipeline(**person, output_type=kind).images.shape == shape


def test_the_default_output_is_a_picture_of_the_trained_size(pipeline, person):
    (image,) = pipeline(**person, return_dict=False)[0]
    assert image.size == (48, 64)


def test_another_scheduler_takes_its_place(pipeline, person):
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    assert np.isfinite(run(pipeline, person)).all()


def test_the_callback_sees_every_step_and_may_change_the_latents(pipeline, person):
    seen = []

    def blank(_, step, timestep, state):
        seen.append((step, int(timestep)))
        return {"latents": torch.zeros_like(state["latents"])}

    latents = run(pipeline, person, callback_on_step_end=blank, output_type="latent")
    assert [step for step, _ in seen] == [0, 1, 2]
    assert not latents.any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"height": 65}, "height 65 is not a multiple of 8: try 64"),
        ({"width": -8}, "width -8"),
        ({"height": 0}, "height 0"),
        ({"num_inference_steps": -1}, "num_inference_steps -1 is below 1"),
        ({"guidance_scale": float("nan")}, "guidance_scale nan"),
        ({"guidance_scale": 0.5}, "guidance_scale 0.5 is below 1"),
        ({"face": torch.zeros(2, 512)}, r"face embeddings must be \[1, 512\], not \[2, 512\]"),
        ({"output_type": "jpeg"}, "'jpeg' is none of"),
        ({"latents": torch.zeros(1, 4, 8, 6)}, r"latents must be \[1, 12, 8, 6\]"),
        ({"pose": []}, "as many texture maps and poses"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_in_words(pipeline, person, wrong, message):
    with pytest.raises(InputError, match=message):
        run(pipeline, person, **wrong)


def test_a_folder_without_weights_is_said_to_be_none(tmp_path):
    with pytest.raises(WeightsError, match=r"no model_index\.json"):
        load_pipeline(tmp_path)


def test_a_cut_weights_file_is_refused(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path)
    weights = tmp_path / "denoising_unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="cannot load the weights"):
        load_pipeline(tmp_path)


def test_offloaded_it_makes_the_same_picture_and_never_holds_both_unets(pipeline, person):
    expected = run(pipeline, person)
    pipeline.enable_model_cpu_offload(device="cpu")
    watched = []
    try:
        used, held, most = [], set(), set()
        parts = {
            id(part): name for name, part in pipeline.components.items() if hasattr(part, "forward")
        }
        hooks = {name: getattr(pipeline, name)._hf_hook for name in parts.values()}
        for name, hook in hooks.items():
            before = hook.pre_forward

            def pre_forward(module, *args, name=name, hook=hook, before=before, **kwargs):
                if hook.prev_module_hook is not None:
                    held.discard(parts[id(hook.prev_module_hook.model)])
                held.add(name)
                used.append(name)
                most.add(frozenset(held))
                return before(module, *args, **kwargs)

            hook.pre_forward = pre_forward
            for module in getattr(pipeline, name).modules():
                if not list(module.children()):

                    def is_there(_module, _inputs, name=name):
                        assert name in held, f"{name} is used, and not on the GPU"

                    watched.append(module.register_forward_pre_hook(is_there))
        assert np.array_equal(run(pipeline, person), expected)
    finally:
        pipeline.remove_all_hooks()
        for handle in watched:
            handle.remove()
    assert used.index("reference_unet") < used.index("denoising_unet")
    assert set(used) == set(hooks)
    for together in most:
        assert not {"reference_unet", "denoising_unet"} <= together
        assert not {"image_encoder", "denoising_unet"} <= together
