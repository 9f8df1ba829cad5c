"""How each benchmark counts: one file for every family of protocols."""
