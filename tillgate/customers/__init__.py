"""Customers: people who pay a merchant, and their saved payment methods.

A card is known by its provider's token and by what may be shown of it (brand, last four digits);
a card number is never stored. In test mode the documented test numbers are accepted and mapped to
their tokens on the spot. A deleted customer keeps its id and answers `deleted: true`. A payment
method that was detached is kept, and never used again.

Tables: `customers.customers payment_methods`. Facts: `customer.created updated deleted`,
`payment_method.attached detached updated`.
"""
