"""Pretend WeChat Pay: API v3 for direct merchants, notices, certificates and bills."""
