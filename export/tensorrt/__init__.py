"""Plans, built on the computer that will fly them."""
