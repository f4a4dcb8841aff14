"""From a pipeline to pictures: how it samples, where it runs, and many pictures at a time."""
