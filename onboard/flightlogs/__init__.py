"""What was recorded in flight, read into typed telemetry."""
