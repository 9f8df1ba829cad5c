"""Flights that try the daemon: its own process, a simulated vehicle, and whatever may go wrong."""
