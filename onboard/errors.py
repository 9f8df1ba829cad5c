"""What can go wrong before take-off. In flight, bad data is a Rejection, never an exception."""

from __future__ import annotations


class GeobridgeError(Exception):
    """A user's mistake or a broken input; its text is the one line shown, with exit code 2."""


class ConfigError(GeobridgeError):
    """A configuration file or an override that cannot be used."""


class BundleError(GeobridgeError):
    """A bundle that must not be flown."""


class EngineError(GeobridgeError):
    """An inference runtime that is absent, refuses the model, or returns nonsense."""


class LinkError(GeobridgeError):
    """A MAVLink connection that cannot be opened."""


class DataError(GeobridgeError):
    """Imagery, telemetry, weights or a data set that cannot be used."""


class DifferenceError(GeobridgeError):
    """Results that are not those that were expected; exit code 3."""
