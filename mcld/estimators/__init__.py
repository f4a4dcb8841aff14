"""NOUN: what is read off a photo of a person: its pose, its texture map, its face."""
