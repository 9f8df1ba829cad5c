"""A stand-in for the autopilot: it answers on MAVLink as ArduCopter and PX4 do."""
