"""What a network finds, and the pages that tell it."""
