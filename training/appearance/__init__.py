"""How a place may look another day, and turned."""
