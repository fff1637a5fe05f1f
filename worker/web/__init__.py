"""What the worker tells over HTTP: health and metrics to tools, the fleet to people and programs."""
