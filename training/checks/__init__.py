"""Whether a data set is what was published, whole, and split as it should be."""
