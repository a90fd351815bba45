-- context: payments: what may still be paid into a wallet that has a balance limit
-- deploy: before the code
-- locks: payments.payments against writes while the index is built
-- rows: none

-- Small: payments leave it when they end or fail. It reads no column that the index of expiring
-- payments does not depend on, or that changes without one of those.
CREATE INDEX payments_coming ON payments.payments (merchant_id, pay_into)
    WHERE pay_into IS NOT NULL AND status NOT IN ('succeeded', 'canceled')
    AND (open_attempt IS NOT NULL OR attempts = 0);
