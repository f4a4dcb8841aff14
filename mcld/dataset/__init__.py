"""What lies on disk: folder layout, names and pairs, pictures and maps, the mannequin world."""
