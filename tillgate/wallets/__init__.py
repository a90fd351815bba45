"""What a customer holds with one merchant in one currency: open, spend, hold, transfer, freeze, limits."""
