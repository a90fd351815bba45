"""The top-up client: pages for a phone."""
