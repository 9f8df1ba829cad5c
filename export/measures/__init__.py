"""What packing finds out about a map: recall, what looks alike, what scores are worth."""
