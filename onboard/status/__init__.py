"""What the daemon shows of itself on this computer: read-only, for a person and for monitors."""
