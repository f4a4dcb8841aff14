"""Raw pictures to poses, textures and faces on disk."""
