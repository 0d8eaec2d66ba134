"""Measurements, one command each: ``python -m benchmarks.NAME --json``. Run from the checkout's root."""
