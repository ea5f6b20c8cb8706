"""Traces of runs for OpenTelemetry, whose SDK is imported only where they are sent."""
