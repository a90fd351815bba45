"""A customer adds value to a wallet."""
