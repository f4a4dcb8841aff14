"""What the recorder of attention keeps."""

import torch
from torch.nn import functional

from mcld.model.attention import AttentionRecorder, project_qkv


def test_it_keeps_the_probabilities_that_attention_works_with():
    """Attention whose values are the unit vectors gives its own probabilities."""
    generator = torch.Generator().manual_seed(0)
    heads, own, reference, width = 3, 5, 7, 4
    kept = []
    recorder = AttentionRecorder()
    for _ in range(2):
        queries = torch.randn(1, heads, own, width, generator=generator)
        keys = torch.randn(1, heads, own + reference, width, generator=generator)
        unit = torch.eye(own + reference).expand(1, heads, -1, -1)
        kept.append(functional.scaled_dot_product_attention(queries, keys, unit)[0].mean(dim=0))
        recorder.add(recorder.reference, "block", queries, keys, own)
        recorder.add(recorder.face, "block", queries, keys)
    mean = torch.stack(kept).mean(dim=0)
    torch.testing.assert_close(recorder.reference["block"], mean[:, own:])
    torch.testing.assert_close(recorder.face["block"], mean)


@torch.no_grad()
def test_queries_keys_and_values_by_one_product_are_the_same_and_can_be_taken_apart(pipeline):
    for unet in (pipeline.denoising_unet, pipeline.reference_unet):
        names = unet.state_dict().keys()
        attentions = [block.attn1 for _, block in unet.transformer_blocks()]
        tokens = [torch.randn(2, 5, attn.to_q.in_features) for attn in attentions]
        apart = [project_qkv(*both) for both in zip(attentions, tokens, strict=True)]
        unet.fuse_qkv_projections()
        for attn in attentions:
            attn.to_q.weight.zero_()  # it is the joined one that counts
        joined = [project_qkv(*both) for both in zip(attentions, tokens, strict=True)]
        torch.testing.assert_close(joined, apart)
        assert unet.state_dict().keys() > names
        unet.unfuse_qkv_projections()
        unet.unfuse_qkv_projections()
        assert unet.state_dict().keys() == names
        assert not project_qkv(attentions[0], tokens[0])[0].any()
