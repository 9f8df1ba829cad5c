"""A text for every place: written by a model or a template, and checked."""
