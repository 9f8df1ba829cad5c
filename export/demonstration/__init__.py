"""The demo: the whole path on a rendered world, ending with a flight that loses its GNSS."""
