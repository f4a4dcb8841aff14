"""A skinned body: its shapes and poses, and where each point of its skin lies for DensePose."""
