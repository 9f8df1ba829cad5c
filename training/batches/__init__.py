"""Which places meet in a batch."""
