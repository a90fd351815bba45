"""People who pay: identity, contact, saved payment methods."""
