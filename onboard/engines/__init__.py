"""One file per inference runtime; the one asked for, or an EngineError."""
