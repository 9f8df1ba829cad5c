"""How fast encoders are on this computer, and in what state it was while that was measured."""
