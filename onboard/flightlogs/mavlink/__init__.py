"""What an autopilot said over MAVLink, as somebody heard it."""
