-- context: customers: a payment method that was detached is not used again
-- deploy: before the code
-- locks: customers.payment_methods, for the moment it takes to note the column
-- rows: none

-- Methods that were detached before look like those that never belonged to anybody, and stay usable.
ALTER TABLE customers.payment_methods ADD COLUMN detached_at timestamptz;
