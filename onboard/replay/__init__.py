"""The other wiring of the Localizer: recorded flights, and what is said of them afterwards."""
