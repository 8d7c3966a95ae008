"""Telemetry: many rows, columnar, append-only."""
