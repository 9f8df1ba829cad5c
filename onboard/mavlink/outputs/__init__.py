"""What the autopilot is told, one class per message that an autopilot accepts."""
