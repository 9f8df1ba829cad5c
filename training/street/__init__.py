"""Street pictures: where they were taken, and which compasses are believed."""
