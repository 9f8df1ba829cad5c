"""Logs that ArduPilot writes on board."""
