"""A place in words: what a person would name, true from every side and on every day."""
