"""A run: its folder, its steps, what it says and what it survives."""
