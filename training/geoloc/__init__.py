"""Triples of drone, satellite and street pictures with a text, from imagery of one's own."""
