"""The autopilot's language; wire names and wire units appear only here."""
