"""Tiles of the web: stores of them, and servers."""
