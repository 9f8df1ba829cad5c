"""Every view of a world, by tracing rays through one scene."""
