"""Runs and their logs: stdlib only, no sockets, no models."""
