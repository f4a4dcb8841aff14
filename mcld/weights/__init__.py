"""The weights that real photos need: what is there, what is missing, in which files."""
