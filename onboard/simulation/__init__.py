"""A world to fly in, rendered from a seed."""
