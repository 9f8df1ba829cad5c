"""Sources of reference imagery."""
