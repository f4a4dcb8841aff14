"""The wing of the small embedded network: its world, its own parts, its trainings, its weights."""
