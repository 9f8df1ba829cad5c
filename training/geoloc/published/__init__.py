"""What a build leaves behind for others."""
