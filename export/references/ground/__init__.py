"""Imagery of the ground from above, whatever holds it."""
