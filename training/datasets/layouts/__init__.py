"""Public data sets in the layouts that their authors published, and one's own."""
