-- context: runtime: claims remember what was asked, old notices go; payments: a second payment goes back once
-- deploy: before the code
-- locks: runtime.idempotency for a moment (new nullable columns); runtime.notices and payments.refunds against writes while each index is built
-- rows: none

-- So that a request whose process died is answered as it would have been, with what it expanded.
ALTER TABLE runtime.idempotency
    ADD COLUMN operation text,
    ADD COLUMN expand jsonb;

CREATE INDEX notices_age ON runtime.notices USING brin (received_at);
GRANT DELETE ON runtime.notices TO tillgate_app;

-- A refund of a second payment that failed is tried anew, as another refund: never two of them at a
-- time that can still give money back.
CREATE UNIQUE INDEX refunds_of_surplus ON payments.refunds (merchant_id, attempt_id)
    WHERE surplus AND status <> 'failed';
CREATE INDEX refunds_of_surplus_failed ON payments.refunds (merchant_id, attempt_id)
    WHERE surplus AND status = 'failed';
