"""Editing: the conditions of several people, one new picture."""
