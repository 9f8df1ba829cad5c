"""Mission rehearsal: many simulated flights over one's own map, before the first real one."""
