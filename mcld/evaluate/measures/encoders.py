"""How alike pictures are to DINOv2 and to CLIP, and their features of sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mcld.evaluate.metric import BatchMetric, Column, Features, Loaded, Numbers, Tools

if TYPE_CHECKING:
    from torch import Tensor

    from mcld.evaluate.encoders import Encoder
    from mcld.evaluate.pairs import Batch, Pictures

DINO_TEXT = (
    "the class token of DINOv2 ViT-L/14 after its last layer norm, of pictures resized to 224x224"
    " by Pillow, bicubically with antialiasing, uncut"
)
CLIP_TEXT = (
    "image embeddings, of norm 1, of CLIP ViT-L/14 at 336 pixels, of pictures resized to 336x336 by"
    " Pillow, bicubically with antialiasing, uncut"
)


class Encoded(Loaded):
    """What an encoder gives numbers for."""

    encoder: ClassVar[str]
    """The class of `mcld.evaluate.encoders`."""
    packages = ("transformers",)
    network: Encoder

    def load(self, tools: Tools) -> None:
        """The Hub's files. Raises MCLDError when they are missing or refused."""
        from mcld.evaluate import encoders

        kind: type[Encoder] = getattr(encoders, self.encoder)
        self.network = encoders.share_encoder(kind, tools.settings, tools.device)
        self.weights = {self.network.file.name: self.network.sha256}


class DinoFeatures(Encoded, Features):
    """DINOv2's class token."""

    name = "dinov2"
    encoder = "Dino"
    width = 1024

    def extract(self, pictures: Pictures) -> Tensor:
        """Of pictures of any size."""
        features: Tensor = self.network(pictures.pictures)
        return features


class ClipFeatures(Encoded, Features):
    """CLIP's image embeddings."""

    name = "clip"
    encoder = "Clip"
    width = 768

    def extract(self, pictures: Pictures) -> Tensor:
        """Of pictures of any size."""
        features: Tensor = self.network(pictures.pictures)
        return features


class _Similarity(Encoded, BatchMetric):
    """The cosine of a result's vector and its truth's, and its source's."""

    needs = ("source",)
    to_truth: ClassVar[str]
    to_source: ClassVar[str]
    """Columns."""

    def measure(self, batch: Batch) -> list[Numbers]:
        """-1..1; 1 for equal pictures."""
        from torch.nn.functional import cosine_similarity

        generated = self.network([pair.generated for pair in batch.pairs])
        truth = self.network([pair.truth for pair in batch.pairs])
        source = self.network([pair.source for pair in batch.pairs])
        return [
            {self.to_truth: near, self.to_source: far}
            for near, far in zip(
                cosine_similarity(generated, truth).tolist(),
                cosine_similarity(generated, source).tolist(),
                strict=True,
            )
        ]


class DinoSimilarity(_Similarity):
    """Of DINOv2's class tokens."""

    name, encoder = "dino", "Dino"
    columns = (
        Column("dino_truth", "DINO to truth", 1, 4, share=True),
        Column("dino_source", "DINO to source", 1, 4, share=True),
    )
    to_truth, to_source = "dino_truth", "dino_source"
    text = f"cosine to the true picture and to the source photo: {DINO_TEXT}"


class ClipSimilarity(_Similarity):
    """Of CLIP's image embeddings."""

    name, encoder = "clip", "Clip"
    columns = (
        Column("clip_truth", "CLIP to truth", 1, 4, share=True),
        Column("clip_source", "CLIP to source", 1, 4, share=True),
    )
    to_truth, to_source = "clip_truth", "clip_source"
    text = f"cosine to the true picture and to the source photo: {CLIP_TEXT}"
