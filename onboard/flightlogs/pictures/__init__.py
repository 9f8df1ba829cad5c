"""What photos say of themselves."""
