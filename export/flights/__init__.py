"""Simulated flights, onto disk or live to a daemon."""
