"""Networks for other programs: a pipeline as ONNX graphs, checked against PyTorch."""
