"""Mounts every room's routes; OpenAPI; the docs page."""
