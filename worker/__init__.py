"""Puts renewed certificates into service at cloud gateways."""

__version__ = "0.1.0"
