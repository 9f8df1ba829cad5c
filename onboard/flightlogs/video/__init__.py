"""Telemetry in videos and beside them."""
