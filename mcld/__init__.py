"""Multi-focal Conditioned Latent Diffusion (MCLD): repaint a person in a new pose."""

__version__ = "0.1.0"
