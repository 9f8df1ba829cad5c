"""Bundles on the aircraft: brought in, tried, chosen, and left again for the one before."""
