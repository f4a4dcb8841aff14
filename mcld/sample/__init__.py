"""Conditions to pictures."""
