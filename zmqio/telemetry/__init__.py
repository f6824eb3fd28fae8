"""OpenTelemetry for servers and emitters: `zmqio.telemetry.instrument(io)`. Needs `zmqio[opentelemetry]`."""

from zmqio.telemetry.instrument import instrument

__all__ = ["instrument"]
