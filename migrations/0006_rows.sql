-- context: all rooms of the money path: a batch's rows are sent as one array of rows for each table
-- deploy: before the code
-- locks: none
-- rows: none

-- What the hot statements are given: INSERT ... SELECT * FROM unnest($1::ledger.line_row[]). A row costs
-- its sender and PostgreSQL two thirds of what it costs as an element of a dozen arrays, and half of
-- what it costs as JSON. They are types of their own, not the tables' row types, so that a column added
-- to a table later does not break the processes that still run the code before.
CREATE TYPE runtime.fact_row AS (
    merchant_id bigint, id text, name text, object_id text, sequence bigint, data bytea,
    previous bytea, at timestamptz, request_id text, idempotency_key text
);
CREATE TYPE runtime.answer_row AS (
    merchant_id bigint, key text, request_hash bytea, request_id text, status smallint, body bytea
);
CREATE TYPE runtime.claim_row AS (
    merchant_id bigint, key text, request_hash bytea, request_id text, operation text, expand jsonb
);
CREATE TYPE runtime.notice_row AS (
    merchant_id bigint, id text, provider_account_id text, headers jsonb, body bytea,
    received_at timestamptz, status text, note text
);
CREATE TYPE ledger.line_row AS (
    merchant_id bigint, journal bigint, line smallint, cause text, currency text, debit bigint,
    credit bigint, amount bigint, debit_after bigint, credit_after bigint, at timestamptz
);
CREATE TYPE ledger.account_change AS (
    merchant_id bigint, number bigint, balance bigint, held bigint, balance_before bigint,
    held_before bigint, currency text
);
CREATE TYPE wallets.counter_change AS (
    merchant_id bigint, id text, read bigint, spent_on date, spent_today bigint, sequence bigint
);
CREATE TYPE wallets.transaction_row AS (
    merchant_id bigint, id text, wallet_id text, journal bigint, type text, amount bigint,
    principal_amount bigint, bonus_amount bigint, currency text, cause text, source text,
    description text, metadata jsonb, created_at timestamptz
);
CREATE TYPE payments.payment_row AS (
    merchant_id bigint, id text, amount bigint, currency text, status text, capture_method text,
    confirmation_method text, customer_id text, method_types jsonb, payment_method text,
    method_options jsonb, pay_into bigint, owed_account bigint, refund_policy text, gifts jsonb,
    subject text, amount_capturable bigint, amount_received bigint, amount_refunded bigint,
    latest_attempt text, open_attempt text, attempts int, next_action jsonb, last_error jsonb,
    client_secret text, return_url text, description text, receipt_email text,
    setup_future_usage text, statement_descriptor text, statement_descriptor_suffix text,
    shipping jsonb, metadata jsonb, expires_at timestamptz, canceled_at timestamptz,
    cancellation_reason text, sequence bigint, created_at timestamptz
);
CREATE TYPE payments.attempt_row AS (
    merchant_id bigint, id text, payment_id text, provider_account_id text, provider text,
    presentation text, payment_method text, amount bigint, currency text, status text,
    reference text, next_step jsonb, error jsonb, instrument jsonb, amount_authorised bigint,
    amount_to_capture bigint, amount_captured bigint, amount_refunded bigint, capture boolean,
    off_session boolean, return_url text, description text, client_ip text, openid text,
    closing boolean, expires_at timestamptz, look_up_at timestamptz, look_ups int, sequence bigint,
    created_at timestamptz, paid_at timestamptz
);
CREATE TYPE payments.refund_row AS (
    merchant_id bigint, id text, payment_id text, attempt_id text, amount bigint, currency text,
    status text, reason text, failure_reason text, reference text, take_back jsonb, surplus boolean,
    metadata jsonb, look_up_at timestamptz, look_ups int, sequence bigint, created_at timestamptz
);
CREATE TYPE topups.top_up_row AS (
    merchant_id bigint, id text, wallet_id text, customer_id text, payment_id text, amount bigint,
    bonus_amount bigint, currency text, metadata jsonb, sequence bigint, created_at timestamptz
);
