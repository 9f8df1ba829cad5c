"""Large maps and flights over them to a data set of tiles and pairs."""
