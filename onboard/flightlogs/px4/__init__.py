"""Logs that PX4 writes on board."""
