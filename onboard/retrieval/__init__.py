"""Image to descriptor, descriptor to candidates."""
