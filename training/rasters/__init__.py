"""One's own maps."""
