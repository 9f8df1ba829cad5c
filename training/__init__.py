"""GeoBridge training: a map or a data set in, a checkpoint folder out. torch lives here."""
