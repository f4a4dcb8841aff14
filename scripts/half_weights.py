"""Weights of ONNX files in half precision."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def store_half(model: onnx.ModelProto) -> None:
    """Keep large weights in half precision, cast when a session is opened."""
    graph = model.graph
    casts = []
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < 256:
            continue
        weights = numpy_helper.to_array(tensor)
        half = weights.astype(np.float16)
        lost = np.abs(half.astype(np.float32) - weights).max() / np.abs(weights).max()
        if lost > 1e-3:
            raise SystemExit(f"{tensor.name} does not fit into half precision: {lost:.1e}")
        name = f"{tensor.name}_half"
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(half, name))
        casts.append(helper.make_node("Cast", [name], [tensor.name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)
