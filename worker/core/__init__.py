"""The pure heart: values and decisions, without waiting, clock, chance or client."""
