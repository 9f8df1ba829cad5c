"""Where frames come from, each stamped with its capture time."""
