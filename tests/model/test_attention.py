"""What the recorder of attention keeps."""

import torch
from torch.nn import functional

from mcld.model.attention import AttentionRecorder


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
