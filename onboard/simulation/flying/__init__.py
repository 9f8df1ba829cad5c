"""A vehicle that flies a route: its motion, its sensors, and the records it leaves."""
