"""The land of a world: its plan, its ground, and what stands on it."""
