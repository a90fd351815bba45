"""Tillgate: a self-hosted payment gateway with prepaid-wallet top-up."""
