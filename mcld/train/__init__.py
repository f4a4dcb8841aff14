"""Pairs to weights."""
