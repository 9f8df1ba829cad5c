"""Street-level pictures and where they were taken."""
