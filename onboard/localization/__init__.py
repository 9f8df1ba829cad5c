"""Frame and telemetry to a fix or a reason; knows neither sockets nor clocks."""
