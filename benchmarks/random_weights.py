"""Random weights of the true shapes, in the files and folders that real photos need."""

from __future__ import annotations

from pathlib import Path


def write(root: Path) -> None:
    """Write `pretrained_weights/` and `checkpoints/` below `root`: 14 GB, about as many as real.

    Nothing but the numbers in the files separates them from Stable Diffusion 1.5 and its companions
    and from the authors' checkpoints, whose file names and keys they have.
    """
    import torch
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    from benchmarks.train import PAPER_PROJECTOR, SD15, VAE, VIT_L
    from mcld.machine.files import write_whole
    from mcld.model import DenoisingUNet, ImageProjector, PoseGuider, ReferenceNet
    from mcld.networks.names import CONTROLNET, IMAGE_ENCODER, UNET
    from mcld.networks.names import VAE as VAE_FILES

    def new(kind, *arguments, **config):
        """Weights of a plausible size, quicker than each layer's own way of drawing them."""
        with torch.device("meta"):
            module = kind(*arguments, **config)
        module = module.to_empty(device="cpu")
        for name, parameter in module.named_parameters():
            if parameter.ndim > 1:
                parameter.data.normal_(std=parameter[0].numel() ** -0.5)
            else:
                parameter.data.fill_(float(name.endswith("weight")))
        return module

    torch.manual_seed(0)
    pretrained = root / "pretrained_weights"
    for source, kind, config in (
        (UNET, UNet2DConditionModel, SD15),
        (CONTROLNET, ControlNetModel, {"cross_attention_dim": 768}),
        (VAE_FILES, AutoencoderKL, VAE),
    ):
        print(f"writing {pretrained / source.folder}", flush=True)
        new(kind, **config).save_pretrained(pretrained / source.folder)
    print(f"writing {pretrained / IMAGE_ENCODER.folder}", flush=True)
    encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**VIT_L))  # has buffers, too
    encoder.save_pretrained(pretrained / IMAGE_ENCODER.folder)
    for name, kind, config in (
        ("denoising_unet", DenoisingUNet, SD15),
        ("reference_unet", ReferenceNet, SD15),
        ("pose_guider", PoseGuider, {"conditioning_embedding_channels": 320}),
        ("image_proj_model", ImageProjector, PAPER_PROJECTOR),
    ):
        path = root / "checkpoints" / f"{name}.pth"
        print(f"writing {path}", flush=True)
        with write_whole(path) as temporary:
            torch.save(new(kind, **config).state_dict(), temporary)
    print(
        "Next, for a test pair of a dataset of `mcld prepare --mannequins`:\n"
        f"  mcld sample --config configs/deepfashion.yaml --weights {root / 'checkpoints'}"
        f" --set sample.pretrained={pretrained} --size 256x256 --steps 2"
        " --source A.jpg --pose B.png --out out.png"
    )
