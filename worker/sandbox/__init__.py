"""Simulated clouds on loopback, with real TLS listeners and a small CA."""

from worker.sandbox.server import Sandbox, SandboxConfig

__all__ = ["Sandbox", "SandboxConfig"]
