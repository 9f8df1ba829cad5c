"""In flight: from power-on to landing, with whatever comes in between."""
