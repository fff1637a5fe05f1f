"""What an operator's tools ask the worker over HTTP: health and metrics."""
