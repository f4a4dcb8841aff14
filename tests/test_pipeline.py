"""The pipeline as its callers see it."""

import subprocess
import sys
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from diffusers import (
    DDIMInverseScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import CLIPImageProcessor

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_iuv
from mcld.errors import InputError, WeightsError
from mcld.mannequin.pose_guider import TexturedPoseGuider
from mcld.mannequin.refiner import TextureRefiner
from mcld.networks.folders import load_pipeline
from mcld.networks.places import EMBEDDED
from mcld.person.reader import PersonReader
from mcld.pipeline import MCLDPipeline
from mcld.pipeline_inputs import PipelineInputs, scale_pictures
from mcld.settings import PrepareSettings
from mcld.surface.warp import warp_texture


@pytest.fixture
def person(dataset: DatasetLayout) -> dict:
    """The first training pair, as arguments of the pipeline."""
    source, target = (Path(name).stem for name in dataset.pairs("train")[0])
    reader = PersonReader(PrepareSettings(), "cpu", print, "head_crop")
    found = reader.person(dataset.image("train", source))
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


@pytest.fixture
def textured(pipeline: MCLDPipeline) -> MCLDPipeline:
    """The pipeline with a textured pose guider and a refiner, random ones."""
    guider = TexturedPoseGuider.from_plain(pipeline.pose_guider)
    torch.manual_seed(1)
    torch.nn.init.normal_(guider.patch_embedding.weight)
    refiner = TextureRefiner()
    torch.nn.init.normal_(refiner.conv_out.weight, std=0.05)
    pipeline.register_modules(pose_guider=guider, refiner=refiner)
    return pipeline


def test_a_textured_guider_sees_the_texture_map_warped_onto_the_pose(pipeline, person):
    plain = run(pipeline, person)
    guider = TexturedPoseGuider.from_plain(pipeline.pose_guider)
    pipeline.register_modules(pose_guider=guider)
    np.testing.assert_allclose(run(pipeline, person), plain, atol=1e-5)
    torch.nn.init.normal_(guider.patch_embedding.weight)
    inputs = inputs_of(pipeline, person)
    iuv = np.asarray(person["pose"].resize((48, 64), Image.Resampling.NEAREST))[..., ::-1]
    assert np.array_equal(inputs.pose[0].transpose(1, 2, 0), iuv)
    seen = inputs.warped[0].any(axis=0)
    assert not seen[iuv[..., 0] == 0].any()
    assert seen.mean() > 0.1
    assert np.abs(run(pipeline, person) - plain).max() > 1e-3


def inputs_of(pipeline: MCLDPipeline, person: dict) -> PipelineInputs:
    iuv = np.asarray(person["pose"])[..., ::-1]
    return pipeline.inputs([person["source"]], [person["texture"]], [iuv], person["face"], 64, 48)


def test_a_refiner_is_given_what_it_looks_at_in_its_own_precision(textured, person):
    whole = run(textured, person)
    textured.to(dtype=torch.bfloat16)
    assert np.abs(run(textured, person) - whole).mean() < 0.05 * whole.std()


def test_a_refiner_sees_what_the_picture_was_sampled_for(textured, person):
    refined = run(textured, person)
    textured.register_modules(refiner=None)
    assert np.abs(run(textured, person) - refined).max() > 0.01


def test_a_refiner_that_enlarges_sees_the_finer_map_and_texture(textured, person):
    usual = run(textured, person)
    textured.register_modules(refiner=TextureRefiner(scale=2))
    iuv = np.asarray(person["pose"].resize((96, 128), Image.Resampling.NEAREST))[..., ::-1]
    inputs = inputs_of(textured, person)
    assert inputs.pose.shape == inputs.warped.shape == (1, 3, 64, 48)
    assert np.array_equal(inputs.fine_pose[0].transpose(1, 2, 0), iuv)
    completed = textured.pose_guider.complete(np.asarray(person["texture"]))
    look = torch.from_numpy(warp_texture(iuv, completed)).permute(2, 0, 1)
    assert np.array_equal(inputs.fine_warped[0], look)  # of no map of the photo there is no more
    larger = run(textured, person)
    assert larger.shape == (1, 128, 96, 3)
    assert usual.shape == (1, 64, 48, 3)
    textured.refiner.conv_out.bias.data[12:] = 1
    blended = run(textured, person)[0].transpose(2, 0, 1)
    seen = (look[:3] > 0).any(dim=0).numpy()
    np.testing.assert_allclose(blended[:, seen], look[:3].numpy()[:, seen] / 255, atol=1e-5)
    photo = person["source"].resize((96, 128))
    own = {**person, "source": photo, "source_pose": Image.fromarray(iuv[..., ::-1])}
    own["texture"] = Image.new("RGB", (512, 512), "gray")  # without holes, where nothing is shown
    closer, body = run(textured, own)[0], iuv[..., 0] > 0
    assert np.abs(closer - np.asarray(photo) / 255)[body].mean() < 0.01  # the photo itself
    with pytest.raises(InputError, match="source_pose must be a map for each photo of source"):
        run(textured, {**own, "source": photo.resize((48, 64))})


def test_without_the_texture_nothing_of_it_reaches_the_picture(textured, person):
    """An ablation: with only the texture map changed, latents and pictures move by exactly 0."""
    textured.register_to_config(
        focal_conditions=["source", "face"], reference_input="source", pose_resample="nearest"
    )
    enlarging = TextureRefiner(scale=2)
    torch.nn.init.normal_(enlarging.conv_out.weight, std=0.05)
    textured.register_modules(refiner=enlarging)
    turned = {**person, "texture": person["texture"].rotate(180)}
    for output_type in ("latent", "np"):
        made = [run(textured, p, output_type=output_type) for p in (person, turned)]
        assert np.abs(np.asarray(made[0]) - np.asarray(made[1])).max() == 0
    textured.register_to_config(focal_conditions=["source", "texture", "face"])
    assert np.abs(run(textured, person) - run(textured, turned)).max() > 1e-3


def test_the_unconditional_half_of_guidance_does_not_see_the_texture(textured, person):
    halves = []
    for texture in (person["texture"], person["texture"].rotate(180)):
        inputs = inputs_of(textured, {**person, "texture": texture})
        with torch.no_grad():
            conditions = textured.conditions(inputs)
            features = textured.network.guide_pose(conditions, 2.0)
            focal = textured.network.encode(conditions)
            latents = torch.ones(2, 12, 8, 6)
            halves.append(
                textured.denoising_unet(latents, torch.tensor(500), features, focal).chunk(2)
            )
    (unconditional, conditional), (other_unconditional, other_conditional) = halves
    assert (unconditional - other_unconditional).abs().max() == 0
    assert (conditional - other_conditional).abs().max() > 1e-3
    # and it is what training sees of a sample that dropped its conditions
    with torch.no_grad():
        dropped = textured.network(latents[:1], torch.tensor([500]), conditions, dropped=1)
    torch.testing.assert_close(dropped, unconditional)


def test_no_face_is_a_face_of_zeros(pipeline, person):
    zeros = torch.zeros(1, 512)
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
        iuv = np.asarray(pose)[..., ::-1]
        inputs = changed.inputs([pose], [pose], [iuv], None, 64, 48)
        wanted = pose.resize((48, 64), getattr(Image.Resampling, resample.upper()))
    with torch.no_grad():
        (seen,) = changed.conditions(inputs).pose
    assert torch.equal((seen * 255).round().byte().permute(1, 2, 0), torch.tensor(np.array(wanted)))


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
        face=person["face"].repeat(2, axis=0),
        latents=latents,
    )
    first = run(pipeline, person, latents=latents[:1])
    second = run(pipeline, person, latents=latents[1:], **turned)
    np.testing.assert_allclose(both, np.concatenate([first, second]), atol=1e-4)


@torch.no_grad()
def test_a_person_encoded_once_is_the_same_in_all_poses(pipeline, person, dataset):
    options = pipeline.resolve_options(num_inference_steps=2, guidance_scale=2.0)
    maps = [read_iuv(path) for path in sorted(dataset.root.glob("test_densepose/*.png"))[:2]]
    several = [[person[name]] * 2 for name in ("source", "texture")]
    size = options.height, options.width
    inputs = pipeline.inputs(*several, maps, person["face"].repeat(2, axis=0), *size)
    whole = pipeline.conditions(inputs)
    same = pipeline.conditions(inputs[0:1])
    shared = pipeline.conditions(inputs, same)
    noise = pipeline.draw_noise(2, options, torch.Generator().manual_seed(0))
    apart = pipeline.denoise(whole, noise, options)
    focal = pipeline.network.encode(same)
    assert torch.allclose(pipeline.denoise(shared, noise, options, focal=focal), apart, atol=1e-4)
    assert not torch.allclose(apart[0], apart[1], atol=1e-2)


@settings(max_examples=8, deadline=None)
@given(height=st.integers(2, 16), width=st.integers(2, 16))
def test_any_multiple_of_eight_is_a_size(height, width):
    from mcld.settings import load_settings
    from mcld.train.start import new_pipeline
    from tests.conftest import TINY

    pipeline = new_pipeline(load_settings(None, TINY))
    pipeline.set_progress_bar_config(disable=True)
    blank = Image.new("RGB", (30, 50))
    iuv = np.zeros((50, 30, 3), np.uint8)
    iuv[10:15, 10:15] = (9, 5, 2)
    images = pipeline(
        blank,
        blank,
        iuv,
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
    with pytest.raises(WeightsError, match="cannot read the weights"):
        load_pipeline(tmp_path)


def test_offloaded_it_makes_the_same_picture_and_never_holds_both_unets(textured, person):
    pipeline = textured
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
    assert "refiner" in hooks
    for together in most:
        assert not {"reference_unet", "denoising_unet"} <= together
        assert not {"image_encoder", "denoising_unet"} <= together


def test_diffusers_loads_the_embedded_network_in_a_process_that_imported_only_mcld():
    code = (
        "from mcld import MCLDPipeline; import sys;"
        "p = MCLDPipeline.from_pretrained(sys.argv[1]); print(type(p.vae), type(p.refiner))"
    )
    made = subprocess.run(
        [sys.executable, "-c", code, str(EMBEDDED)], capture_output=True, text=True
    )
    assert "PatchAutoencoder" in made.stdout, made.stderr
    assert "TextureRefiner" in made.stdout


def test_a_pipeline_of_anothers_parts_samples_as_that_does(pipeline, person):
    pipeline.register_to_config(
        num_inference_steps=2, guidance_scale=1.5, pose_resample="nearest", edit_strength=0.3
    )
    told = {**person, "num_inference_steps": None, "guidance_scale": None}
    picture = run(pipeline, told)
    for other in (MCLDPipeline(**pipeline.components), MCLDPipeline.from_pipe(pipeline)):
        other.set_progress_bar_config(disable=True)
        assert (
            dict(other.config).items()
            >= {
                "num_inference_steps": 2,
                "guidance_scale": 1.5,
                "pose_resample": "nearest",
                "edit_strength": 0.3,
            }.items()
        )
        np.testing.assert_array_equal(run(other, told), picture)
    changed = MCLDPipeline.from_pipe(pipeline, guidance_scale=2.0, num_inference_steps=7)
    assert changed.config.guidance_scale == 2.0
    for again in (MCLDPipeline.from_pipe(pipeline), MCLDPipeline(**pipeline.components)):
        assert again.config.num_inference_steps == 2
    assert MCLDPipeline(**pipeline.components, guidance_scale=2.0).config.guidance_scale == 2.0


@pytest.mark.parametrize(
    "scheduler",
    [
        *(PNDMScheduler, HeunDiscreteScheduler, LMSDiscreteScheduler),
        *(FlowMatchEulerDiscreteScheduler, DDIMInverseScheduler),
    ],
)
def test_a_scheduler_that_cannot_sample_the_method_is_refused(pipeline, person, scheduler):
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
    with pytest.raises(InputError, match=f"{scheduler.__name__} cannot sample this network"):
        run(pipeline, person)


def test_a_scheduler_without_v_prediction_is_refused(pipeline, person):
    config = {**pipeline.scheduler.config, "prediction_type": "epsilon"}
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(config)
    with pytest.raises(InputError, match="v-prediction"):
        run(pipeline, person)


def switch(pipeline: MCLDPipeline, name: str) -> None:
    """Call one of diffusers' switches, of the pipeline or its denoising UNet."""
    arguments = {"set_attention_backend": ("native",)}.get(name, ())
    getattr(pipeline if hasattr(pipeline, name) else pipeline.denoising_unet, name)(*arguments)


@pytest.mark.parametrize(
    "name",
    [
        *("enable_attention_slicing", "enable_xformers_memory_efficient_attention"),
        *("set_default_attn_processor", "set_attention_backend"),
    ],
)
def test_switches_that_would_replace_the_processors_are_refused(pipeline, person, name):
    before = run(pipeline, person)
    with pytest.raises(InputError, match="processors cannot be replaced"):
        switch(pipeline, name)
    np.testing.assert_array_equal(run(pipeline, person), before)


@pytest.mark.parametrize(
    "name", ["disable_attention_slicing", "disable_xformers_memory_efficient_attention"]
)
def test_what_is_not_on_can_be_switched_off(pipeline, person, name):
    before = run(pipeline, person)
    switch(pipeline, name)
    np.testing.assert_array_equal(run(pipeline, person), before)


@pytest.mark.parametrize("kind", ["block_level", "leaf_level"])
def test_offloading_in_groups_changes_nothing(pipeline, person, kind):
    before = run(pipeline, person)
    cpu = torch.device("cpu")
    pipeline.enable_group_offload(
        onload_device=cpu, offload_device=cpu, offload_type=kind, num_blocks_per_group=1
    )
    np.testing.assert_array_equal(run(pipeline, person), before)


def as_array(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"))


def as_tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(as_array(picture).copy()).permute(2, 0, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: picture.convert("RGBA"),
        lambda picture: [picture],
        as_array,
        lambda picture: as_array(picture)[None] / 255,
        lambda picture: [as_array(picture)],
        as_tensor,
        lambda picture: as_tensor(picture)[None] / 255,
    ],
)
def test_pictures_come_in_any_form_that_diffusers_takes(pipeline, person, change):
    names = ("source", "texture", "pose")
    changed = {name: change(person[name]) for name in names}
    np.testing.assert_array_equal(run(pipeline, person, **changed), run(pipeline, person))


@pytest.mark.parametrize("name", ["source", "texture", "pose"])
@pytest.mark.parametrize(
    "wrong",
    [
        *("a.jpg", None, np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3), np.int64)),
        *(np.full((4, 4, 3), 255.0), torch.zeros(4, 4, 3, 1, 2)),
    ],
)
def test_what_is_no_picture_is_refused_by_its_name(pipeline, person, name, wrong):
    with pytest.raises(InputError, match=f"^{name}: give PIL pictures"):
        run(pipeline, person, **{name: wrong})


def test_a_photo_is_no_pose(pipeline, person):
    with pytest.raises(InputError, match=r"^pose is not an IUV map"):
        run(pipeline, person, pose=person["source"])


def test_one_person_goes_with_many_poses(pipeline, person):
    poses = [person["pose"], person["pose"].transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    latents = torch.randn(2, 12, 8, 6)
    both = run(pipeline, person, pose=poses, latents=latents)
    for k, pose in enumerate(poses):
        alone = run(pipeline, person, pose=pose, latents=latents[k : k + 1])
        np.testing.assert_allclose(both[k], alone[0], atol=1e-4)


def test_a_size_below_what_the_network_can_halve_is_refused(pipeline, person):
    with pytest.raises(InputError, match="height 8 is too small for this network: at least 16"):
        run(pipeline, person, height=8)


def test_a_network_of_one_step_warns_of_what_spoils_it(pipeline, person, caplog):
    pipeline.register_to_config(num_inference_steps=1, guidance_scale=1.0)
    told = {**person, "num_inference_steps": None, "guidance_scale": None}
    diffusers.utils.logging.enable_propagation()
    run(pipeline, told)
    assert "its pictures are worse" not in caplog.text
    run(pipeline, told, height=128)
    assert "It was made for 64x48, num_inference_steps=1" in caplog.text
    diffusers.utils.logging.disable_propagation()


@pytest.mark.parametrize(
    "face", [np.zeros((1, 512), int), [0.0] * 512, torch.full((1, 512), torch.nan)]
)
def test_a_face_is_finite_numbers(pipeline, person, face):
    with pytest.raises(InputError, match="face must be finite numbers"):
        run(pipeline, person, face=face)


def test_pictures_are_read_as_diffusers_image_processor_reads_them(pipeline, person):
    images = [person["source"], person["texture"]]
    wanted = pipeline.image_processor.preprocess(images, 64, 48)
    assert np.array_equal(scale_pictures(images, 64, 48), wanted)
