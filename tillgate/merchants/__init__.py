"""Tenants, API keys, provider accounts. A merchant's test mode and live mode are two tenants."""
