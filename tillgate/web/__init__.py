"""The HTTP kit: forms, errors, idempotency, authentication context, pages."""
