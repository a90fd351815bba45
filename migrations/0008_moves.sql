-- context: payments: an update of what a journey moves is sent without the rest of the row
-- deploy: before the code
-- locks: none
-- rows: none

-- A payment is written three times on its way, an attempt too; most of their columns are set once.
CREATE TYPE payments.payment_move AS (
    merchant_id bigint, id text, status text, amount_capturable bigint, amount_received bigint,
    amount_refunded bigint, latest_attempt text, open_attempt text, attempts int, next_action jsonb,
    last_error jsonb, canceled_at timestamptz, cancellation_reason text, sequence bigint
);
CREATE TYPE payments.attempt_move AS (
    merchant_id bigint, id text, status text, reference text, next_step jsonb, error jsonb,
    instrument jsonb, amount_authorised bigint, amount_to_capture bigint, amount_captured bigint,
    amount_refunded bigint, closing boolean, expires_at timestamptz, look_up_at timestamptz,
    look_ups int, sequence bigint, paid_at timestamptz
);
CREATE TYPE payments.refund_move AS (
    merchant_id bigint, id text, status text, failure_reason text, reference text, metadata jsonb,
    look_up_at timestamptz, look_ups int, sequence bigint
);
