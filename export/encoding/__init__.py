"""Pictures of references to descriptors, here or on many machines."""
