-- What the migrations add up to. Written by tools/gen_schema.py; nothing applies it.

CREATE SCHEMA customers;
GRANT USAGE ON SCHEMA customers TO tillgate_app;

CREATE TABLE customers.customers (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    email text,
    name text,
    phone text,
    description text,
    address jsonb,
    shipping jsonb,
    preferred_locales jsonb NOT NULL DEFAULT '[]'::jsonb,
    metadata jsonb NOT NULL DEFAULT '{}'::jsonb,
    default_payment_method text,
    sequence bigint NOT NULL DEFAULT 1,
    created_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT customers_pkey PRIMARY KEY (merchant_id, id)
);
CREATE INDEX customers_by_email ON customers.customers USING btree (merchant_id, email) WHERE (email IS NOT NULL);
GRANT INSERT, SELECT, UPDATE ON customers.customers TO tillgate_app;

CREATE TABLE customers.payment_methods (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    customer_id text,
    type text NOT NULL,
    provider_token text,
    details jsonb NOT NULL DEFAULT '{}'::jsonb,
    billing_details jsonb NOT NULL DEFAULT '{}'::jsonb,
    metadata jsonb NOT NULL DEFAULT '{}'::jsonb,
    sequence bigint NOT NULL DEFAULT 1,
    created_at timestamp with time zone NOT NULL,
    detached_at timestamp with time zone,
    CONSTRAINT payment_methods_pkey PRIMARY KEY (merchant_id, id)
);
CREATE INDEX payment_methods_of_customer ON customers.payment_methods USING btree (merchant_id, customer_id, id) WHERE (customer_id IS NOT NULL);
GRANT INSERT, SELECT, UPDATE ON customers.payment_methods TO tillgate_app;

CREATE SCHEMA ledger;
GRANT USAGE ON SCHEMA ledger TO tillgate_app;

CREATE TYPE ledger.account_change AS (
    merchant_id bigint,
    number bigint,
    balance bigint,
    held bigint,
    balance_before bigint,
    held_before bigint,
    currency text
);

CREATE TYPE ledger.line_row AS (
    merchant_id bigint,
    journal bigint,
    line smallint,
    cause text,
    currency text,
    debit bigint,
    credit bigint,
    amount bigint,
    debit_after bigint,
    credit_after bigint,
    at timestamp with time zone
);

CREATE TABLE ledger.accounts (
    merchant_id bigint NOT NULL,
    number bigint NOT NULL,
    code text NOT NULL,
    currency text NOT NULL,
    normal_side text NOT NULL,
    floor bigint,
    balance bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT accounts_pkey PRIMARY KEY (merchant_id, number),
    CONSTRAINT accounts_merchant_id_code_currency_key UNIQUE (merchant_id, code, currency),
    CONSTRAINT accounts_held_check CHECK ((held >= 0)),
    CONSTRAINT accounts_normal_side_check CHECK ((normal_side = ANY (ARRAY['credit'::text, 'debit'::text])))
) WITH (fillfactor=60);
CREATE INDEX accounts_by_code ON ledger.accounts USING btree (merchant_id, code COLLATE "C");
GRANT INSERT, SELECT, UPDATE ON ledger.accounts TO tillgate_app;

CREATE TABLE ledger.books (
    merchant_id bigint NOT NULL,
    last_journal bigint NOT NULL DEFAULT 0,
    last_account bigint NOT NULL DEFAULT 0,
    last_at timestamp with time zone NOT NULL DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone,
    stamp bigint NOT NULL DEFAULT 0,
    CONSTRAINT books_pkey PRIMARY KEY (merchant_id)
) WITH (fillfactor=20);
GRANT INSERT, SELECT, UPDATE ON ledger.books TO tillgate_app;

CREATE TABLE ledger.holds (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    account bigint NOT NULL,
    amount bigint NOT NULL,
    status text NOT NULL,
    expires_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT holds_pkey PRIMARY KEY (merchant_id, id, account),
    CONSTRAINT holds_amount_check CHECK ((amount > 0)),
    CONSTRAINT holds_status_check CHECK ((status = ANY (ARRAY['open'::text, 'posted'::text, 'voided'::text, 'expired'::text])))
) WITH (fillfactor=80);
CREATE INDEX holds_expiring ON ledger.holds USING btree (merchant_id, expires_at) WHERE ((status = 'open'::text) AND (expires_at IS NOT NULL));
CREATE INDEX holds_of_account ON ledger.holds USING btree (merchant_id, account) WHERE (status = 'open'::text);
GRANT INSERT, SELECT, UPDATE ON ledger.holds TO tillgate_app;

CREATE TABLE ledger.lines (
    merchant_id bigint NOT NULL,
    journal bigint NOT NULL,
    line smallint NOT NULL,
    cause text NOT NULL,
    currency text NOT NULL,
    debit bigint NOT NULL,
    credit bigint NOT NULL,
    amount bigint NOT NULL,
    debit_after bigint NOT NULL,
    credit_after bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT lines_pkey PRIMARY KEY (merchant_id, journal, line),
    CONSTRAINT lines_merchant_id_cause_line_key UNIQUE (merchant_id, cause, line),
    CONSTRAINT lines_amount_check CHECK ((amount > 0)),
    CONSTRAINT lines_check CHECK ((debit <> credit))
) WITH (autovacuum_vacuum_insert_scale_factor=0.02, autovacuum_analyze_scale_factor=0.02);
CREATE INDEX lines_by_credit ON ledger.lines USING btree (merchant_id, credit, journal, line);
CREATE INDEX lines_by_debit ON ledger.lines USING btree (merchant_id, debit, journal, line);
GRANT INSERT, SELECT ON ledger.lines TO tillgate_app;

CREATE TABLE ledger.seals (
    merchant_id bigint NOT NULL,
    number bigint NOT NULL,
    first_journal bigint NOT NULL,
    last_journal bigint NOT NULL,
    last_at timestamp with time zone NOT NULL,
    previous bytea NOT NULL,
    digests bytea NOT NULL,
    hash bytea NOT NULL,
    sealed_at timestamp with time zone NOT NULL,
    CONSTRAINT seals_pkey PRIMARY KEY (merchant_id, number),
    CONSTRAINT seals_merchant_id_first_journal_key UNIQUE (merchant_id, first_journal),
    CONSTRAINT seals_check CHECK ((last_journal >= first_journal))
);
CREATE INDEX seals_by_time ON ledger.seals USING btree (merchant_id, last_at, last_journal);
GRANT INSERT, SELECT ON ledger.seals TO tillgate_app;

CREATE SCHEMA merchants;
GRANT USAGE ON SCHEMA merchants TO tillgate_app;

CREATE SEQUENCE merchants.numbers INCREMENT BY 2 START WITH 2;
GRANT USAGE ON SEQUENCE merchants.numbers TO tillgate_app;

CREATE TABLE merchants.api_keys (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    digest bytea NOT NULL,
    hint text NOT NULL,
    name text NOT NULL DEFAULT ''::text,
    created_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT api_keys_pkey PRIMARY KEY (merchant_id, id),
    CONSTRAINT api_keys_merchant_id_digest_key UNIQUE (merchant_id, digest),
    CONSTRAINT api_keys_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants.merchants(merchant_id),
    CONSTRAINT api_keys_kind_check CHECK ((kind = ANY (ARRAY['secret'::text, 'publishable'::text])))
);
CREATE INDEX api_keys_by_digest ON merchants.api_keys USING btree (digest);
GRANT INSERT, SELECT, UPDATE ON merchants.api_keys TO tillgate_app;

CREATE TABLE merchants.merchants (
    merchant_id bigint NOT NULL,
    account text NOT NULL,
    livemode boolean NOT NULL,
    name text NOT NULL,
    default_currency text NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}'::jsonb,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT merchants_pkey PRIMARY KEY (merchant_id),
    CONSTRAINT merchants_merchant_id_account_key UNIQUE (merchant_id, account),
    CONSTRAINT merchants_check CHECK ((livemode = ((merchant_id % (2)::bigint) = 0)))
);
GRANT INSERT, SELECT, UPDATE ON merchants.merchants TO tillgate_app;

CREATE TABLE merchants.provider_accounts (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    provider text NOT NULL,
    sealed bytea NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamp with time zone NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    CONSTRAINT provider_accounts_pkey PRIMARY KEY (merchant_id, id),
    CONSTRAINT provider_accounts_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants.merchants(merchant_id)
);
GRANT DELETE, INSERT, SELECT, UPDATE ON merchants.provider_accounts TO tillgate_app;

CREATE SCHEMA payments;
GRANT USAGE ON SCHEMA payments TO tillgate_app;

CREATE TYPE payments.attempt_move AS (
    merchant_id bigint,
    id text,
    status text,
    reference text,
    next_step jsonb,
    error jsonb,
    instrument jsonb,
    amount_authorised bigint,
    amount_to_capture bigint,
    amount_captured bigint,
    amount_refunded bigint,
    closing boolean,
    expires_at timestamp with time zone,
    look_up_at timestamp with time zone,
    look_ups integer,
    sequence bigint,
    paid_at timestamp with time zone
);

CREATE TYPE payments.attempt_row AS (
    merchant_id bigint,
    id text,
    payment_id text,
    provider_account_id text,
    provider text,
    presentation text,
    payment_method text,
    amount bigint,
    currency text,
    status text,
    reference text,
    next_step jsonb,
    error jsonb,
    instrument jsonb,
    amount_authorised bigint,
    amount_to_capture bigint,
    amount_captured bigint,
    amount_refunded bigint,
    capture boolean,
    off_session boolean,
    return_url text,
    description text,
    client_ip text,
    openid text,
    closing boolean,
    expires_at timestamp with time zone,
    look_up_at timestamp with time zone,
    look_ups integer,
    sequence bigint,
    created_at timestamp with time zone,
    paid_at timestamp with time zone
);

CREATE TYPE payments.payment_move AS (
    merchant_id bigint,
    id text,
    status text,
    amount_capturable bigint,
    amount_received bigint,
    amount_refunded bigint,
    latest_attempt text,
    open_attempt text,
    attempts integer,
    next_action jsonb,
    last_error jsonb,
    canceled_at timestamp with time zone,
    cancellation_reason text,
    sequence bigint
);

CREATE TYPE payments.payment_row AS (
    merchant_id bigint,
    id text,
    amount bigint,
    currency text,
    status text,
    capture_method text,
    confirmation_method text,
    customer_id text,
    method_types jsonb,
    payment_method text,
    method_options jsonb,
    pay_into bigint,
    owed_account bigint,
    refund_policy text,
    gifts jsonb,
    subject text,
    amount_capturable bigint,
    amount_received bigint,
    amount_refunded bigint,
    latest_attempt text,
    open_attempt text,
    attempts integer,
    next_action jsonb,
    last_error jsonb,
    client_secret text,
    return_url text,
    description text,
    receipt_email text,
    setup_future_usage text,
    statement_descriptor text,
    statement_descriptor_suffix text,
    shipping jsonb,
    metadata jsonb,
    expires_at timestamp with time zone,
    canceled_at timestamp with time zone,
    cancellation_reason text,
    sequence bigint,
    created_at timestamp with time zone
);

CREATE TYPE payments.refund_move AS (
    merchant_id bigint,
    id text,
    status text,
    failure_reason text,
    reference text,
    metadata jsonb,
    look_up_at timestamp with time zone,
    look_ups integer,
    sequence bigint
);

CREATE TYPE payments.refund_row AS (
    merchant_id bigint,
    id text,
    payment_id text,
    attempt_id text,
    amount bigint,
    currency text,
    status text,
    reason text,
    failure_reason text,
    reference text,
    take_back jsonb,
    surplus boolean,
    metadata jsonb,
    look_up_at timestamp with time zone,
    look_ups integer,
    sequence bigint,
    created_at timestamp with time zone
);

CREATE TABLE payments.attempts (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    payment_id text NOT NULL,
    provider_account_id text NOT NULL,
    provider text NOT NULL,
    presentation text NOT NULL,
    payment_method text,
    amount bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    reference text,
    next_step jsonb,
    error jsonb,
    instrument jsonb NOT NULL DEFAULT '{}'::jsonb,
    amount_authorised bigint NOT NULL DEFAULT 0,
    amount_to_capture bigint,
    amount_captured bigint NOT NULL DEFAULT 0,
    amount_refunded bigint NOT NULL DEFAULT 0,
    capture boolean NOT NULL DEFAULT true,
    off_session boolean NOT NULL DEFAULT false,
    return_url text,
    description text,
    client_ip text,
    openid text,
    closing boolean NOT NULL DEFAULT false,
    expires_at timestamp with time zone,
    look_up_at timestamp with time zone,
    look_ups integer NOT NULL DEFAULT 0,
    sequence bigint NOT NULL DEFAULT 1,
    created_at timestamp with time zone NOT NULL,
    paid_at timestamp with time zone,
    CONSTRAINT attempts_pkey PRIMARY KEY (merchant_id, id),
    CONSTRAINT attempts_amount_check CHECK ((amount > 0))
) WITH (fillfactor=70, autovacuum_vacuum_scale_factor=0.01, autovacuum_analyze_scale_factor=0.02);
CREATE INDEX attempts_due ON payments.attempts USING btree (look_up_at) WHERE (look_up_at IS NOT NULL);
CREATE INDEX attempts_of_payment ON payments.attempts USING btree (merchant_id, payment_id, id);
CREATE UNIQUE INDEX attempts_one_open ON payments.attempts USING btree (merchant_id, payment_id) WHERE (status = ANY (ARRAY['created'::text, 'waiting'::text, 'unknown'::text, 'authorised'::text]));
CREATE UNIQUE INDEX attempts_reference ON payments.attempts USING btree (merchant_id, provider_account_id, reference) WHERE ((reference IS NOT NULL) AND (status = 'paid'::text));
GRANT INSERT, SELECT, UPDATE ON payments.attempts TO tillgate_app;

CREATE TABLE payments.breaks (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    attempt_id text,
    refund_id text,
    ours jsonb NOT NULL,
    theirs jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    resolved_at timestamp with time zone,
    resolution text,
    CONSTRAINT breaks_pkey PRIMARY KEY (merchant_id, id)
);
CREATE UNIQUE INDEX breaks_open ON payments.breaks USING btree (merchant_id, kind, COALESCE(attempt_id, ''::text), COALESCE(refund_id, ''::text)) WHERE (resolved_at IS NULL);
GRANT INSERT, SELECT, UPDATE ON payments.breaks TO tillgate_app;

CREATE TABLE payments.payments (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    capture_method text NOT NULL DEFAULT 'automatic'::text,
    confirmation_method text NOT NULL DEFAULT 'automatic'::text,
    customer_id text,
    method_types jsonb NOT NULL,
    payment_method text,
    method_options jsonb NOT NULL DEFAULT '{}'::jsonb,
    pay_into bigint,
    owed_account bigint,
    refund_policy text NOT NULL DEFAULT 'block'::text,
    gifts jsonb NOT NULL DEFAULT '[]'::jsonb,
    subject text,
    amount_capturable bigint NOT NULL DEFAULT 0,
    amount_received bigint NOT NULL DEFAULT 0,
    amount_refunded bigint NOT NULL DEFAULT 0,
    latest_attempt text,
    open_attempt text,
    attempts integer NOT NULL DEFAULT 0,
    next_action jsonb,
    last_error jsonb,
    client_secret text NOT NULL,
    return_url text,
    description text,
    receipt_email text,
    setup_future_usage text,
    statement_descriptor text,
    statement_descriptor_suffix text,
    shipping jsonb,
    metadata jsonb NOT NULL DEFAULT '{}'::jsonb,
    expires_at timestamp with time zone,
    canceled_at timestamp with time zone,
    cancellation_reason text,
    sequence bigint NOT NULL DEFAULT 1,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT payments_pkey PRIMARY KEY (merchant_id, id),
    CONSTRAINT payments_amount_check CHECK ((amount > 0)),
    CONSTRAINT payments_check CHECK (((amount_refunded >= 0) AND (amount_refunded <= amount_received))),
    CONSTRAINT payments_refund_policy_check CHECK ((refund_policy = ANY (ARRAY['block'::text, 'partial'::text, 'receivable'::text])))
) WITH (fillfactor=70, autovacuum_vacuum_scale_factor=0.01, autovacuum_analyze_scale_factor=0.02);
CREATE INDEX payments_coming ON payments.payments USING btree (merchant_id, pay_into) WHERE ((pay_into IS NOT NULL) AND (status <> ALL (ARRAY['succeeded'::text, 'canceled'::text])) AND ((open_attempt IS NOT NULL) OR (attempts = 0)));
CREATE INDEX payments_expiring ON payments.payments USING btree (expires_at) WHERE ((expires_at IS NOT NULL) AND (open_attempt IS NULL) AND (status = ANY (ARRAY['requires_payment_method'::text, 'requires_confirmation'::text])));
CREATE INDEX payments_of_customer ON payments.payments USING btree (merchant_id, customer_id, id) WHERE (customer_id IS NOT NULL);
GRANT INSERT, SELECT, UPDATE ON payments.payments TO tillgate_app;

CREATE TABLE payments.refunds (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    payment_id text NOT NULL,
    attempt_id text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    reason text,
    failure_reason text,
    reference text,
    take_back jsonb NOT NULL DEFAULT '[]'::jsonb,
    surplus boolean NOT NULL DEFAULT false,
    metadata jsonb NOT NULL DEFAULT '{}'::jsonb,
    look_up_at timestamp with time zone,
    look_ups integer NOT NULL DEFAULT 0,
    sequence bigint NOT NULL DEFAULT 1,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT refunds_pkey PRIMARY KEY (merchant_id, id),
    CONSTRAINT refunds_amount_check CHECK ((amount > 0)),
    CONSTRAINT refunds_status_check CHECK ((status = ANY (ARRAY['created'::text, 'unknown'::text, 'pending'::text, 'succeeded'::text, 'failed'::text, 'canceled'::text])))
) WITH (fillfactor=70);
CREATE INDEX refunds_due ON payments.refunds USING btree (look_up_at) WHERE (look_up_at IS NOT NULL);
CREATE INDEX refunds_of_payment ON payments.refunds USING btree (merchant_id, payment_id, id);
CREATE INDEX refunds_of_surplus_failed ON payments.refunds USING btree (merchant_id, attempt_id) WHERE (surplus AND (status = 'failed'::text));
CREATE UNIQUE INDEX refunds_of_surplus ON payments.refunds USING btree (merchant_id, attempt_id) WHERE (surplus AND (status <> 'failed'::text));
GRANT INSERT, SELECT, UPDATE ON payments.refunds TO tillgate_app;

CREATE SCHEMA runtime;
GRANT USAGE ON SCHEMA runtime TO tillgate_app;

CREATE TYPE runtime.answer_row AS (
    merchant_id bigint,
    key text,
    request_hash bytea,
    request_id text,
    status smallint,
    body bytea
);

CREATE TYPE runtime.claim_row AS (
    merchant_id bigint,
    key text,
    request_hash bytea,
    request_id text,
    operation text,
    expand jsonb
);

CREATE TYPE runtime.claim_row_2 AS (
    merchant_id bigint,
    key text,
    request_hash bytea,
    request_id text,
    operation text,
    expand jsonb,
    object_id text
);

CREATE TYPE runtime.fact_row AS (
    merchant_id bigint,
    id text,
    name text,
    object_id text,
    sequence bigint,
    data bytea,
    previous bytea,
    at timestamp with time zone,
    request_id text,
    idempotency_key text
);

CREATE TYPE runtime.notice_row AS (
    merchant_id bigint,
    id text,
    provider_account_id text,
    headers jsonb,
    body bytea,
    received_at timestamp with time zone,
    status text,
    note text
);

CREATE TABLE runtime.facts (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    name text NOT NULL,
    object_id text NOT NULL,
    sequence bigint NOT NULL,
    data bytea NOT NULL,
    previous bytea,
    at timestamp with time zone NOT NULL,
    request_id text,
    idempotency_key text,
    CONSTRAINT facts_pkey PRIMARY KEY (merchant_id, id)
) WITH (autovacuum_vacuum_insert_scale_factor=0.02, autovacuum_analyze_scale_factor=0.02);
CREATE INDEX facts_by_name ON runtime.facts USING btree (merchant_id, name, id);
CREATE INDEX facts_of_object ON runtime.facts USING btree (merchant_id, object_id, sequence);
GRANT INSERT, SELECT ON runtime.facts TO tillgate_app;

CREATE TABLE runtime.heartbeats (
    process text NOT NULL,
    kind text NOT NULL,
    at timestamp with time zone NOT NULL,
    started_at timestamp with time zone NOT NULL,
    CONSTRAINT heartbeats_pkey PRIMARY KEY (process)
) WITH (fillfactor=50);
GRANT DELETE, INSERT, SELECT, UPDATE ON runtime.heartbeats TO tillgate_app;

CREATE TABLE runtime.idempotency (
    merchant_id bigint NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    request_id text NOT NULL,
    object_id text,
    status smallint,
    body bytea,
    created_at timestamp with time zone NOT NULL,
    locked_at timestamp with time zone NOT NULL,
    operation text,
    expand jsonb,
    CONSTRAINT idempotency_pkey PRIMARY KEY (merchant_id, key),
    CONSTRAINT idempotency_key_check CHECK (((length(key) >= 1) AND (length(key) <= 255)))
) WITH (fillfactor=80);
CREATE INDEX idempotency_age ON runtime.idempotency USING brin (created_at);
CREATE INDEX idempotency_open ON runtime.idempotency USING btree (locked_at) WHERE (status IS NULL);
GRANT DELETE, INSERT, SELECT, UPDATE ON runtime.idempotency TO tillgate_app;

CREATE TABLE runtime.migrations (
    name text NOT NULL,
    digest text NOT NULL,
    applied_at timestamp with time zone NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT migrations_pkey PRIMARY KEY (name)
);
GRANT SELECT ON runtime.migrations TO tillgate_app;

CREATE TABLE runtime.notices (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    provider_account_id text NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    received_at timestamp with time zone NOT NULL,
    status text NOT NULL DEFAULT 'received'::text,
    tries integer NOT NULL DEFAULT 0,
    next_at timestamp with time zone,
    applied_at timestamp with time zone,
    note text,
    CONSTRAINT notices_pkey PRIMARY KEY (merchant_id, id),
    CONSTRAINT notices_status_check CHECK ((status = ANY (ARRAY['received'::text, 'applied'::text, 'refused'::text, 'failed'::text])))
) WITH (fillfactor=80, autovacuum_vacuum_scale_factor=0.01);
CREATE INDEX notices_age ON runtime.notices USING brin (received_at);
CREATE INDEX notices_waiting ON runtime.notices USING btree (next_at) WHERE (next_at IS NOT NULL);
GRANT DELETE, INSERT, SELECT ON runtime.notices TO tillgate_app;

CREATE TABLE runtime.outbox (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT outbox_pkey PRIMARY KEY (merchant_id, id)
);
GRANT DELETE, INSERT, SELECT, UPDATE ON runtime.outbox TO tillgate_app;

CREATE TABLE runtime.parked_facts (
    merchant_id bigint NOT NULL,
    fact_id text NOT NULL,
    tries integer NOT NULL,
    next_at timestamp with time zone NOT NULL,
    note text NOT NULL,
    parked_at timestamp with time zone NOT NULL,
    CONSTRAINT parked_facts_pkey PRIMARY KEY (merchant_id, fact_id)
);
CREATE INDEX parked_facts_due ON runtime.parked_facts USING btree (next_at);
GRANT DELETE, INSERT, SELECT, UPDATE ON runtime.parked_facts TO tillgate_app;

CREATE TABLE runtime.unrelayed (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    ids text[] NOT NULL,
    names text[] NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT unrelayed_pkey PRIMARY KEY (merchant_id, id)
);
GRANT DELETE, INSERT, SELECT, UPDATE ON runtime.unrelayed TO tillgate_app;

CREATE OR REPLACE FUNCTION runtime.expect(counts bigint[], wanted bigint[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
    FOR place IN 1 .. cardinality(counts) LOOP
        IF counts[place] <> wanted[place] THEN
            RAISE EXCEPTION USING ERRCODE = 'TG001', MESSAGE = place::text;
        END IF;
    END LOOP;
END
$function$;

CREATE SCHEMA topups;
GRANT USAGE ON SCHEMA topups TO tillgate_app;

CREATE TYPE topups.top_up_row AS (
    merchant_id bigint,
    id text,
    wallet_id text,
    customer_id text,
    payment_id text,
    amount bigint,
    bonus_amount bigint,
    currency text,
    metadata jsonb,
    sequence bigint,
    created_at timestamp with time zone
);

CREATE TABLE topups.top_ups (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    wallet_id text NOT NULL,
    customer_id text NOT NULL,
    payment_id text NOT NULL,
    amount bigint NOT NULL,
    bonus_amount bigint NOT NULL DEFAULT 0,
    currency text NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}'::jsonb,
    sequence bigint NOT NULL DEFAULT 1,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT top_ups_pkey PRIMARY KEY (merchant_id, id),
    CONSTRAINT top_ups_merchant_id_payment_id_key UNIQUE (merchant_id, payment_id),
    CONSTRAINT top_ups_amount_check CHECK ((amount > 0)),
    CONSTRAINT top_ups_bonus_amount_check CHECK ((bonus_amount >= 0))
) WITH (fillfactor=70);
CREATE INDEX top_ups_of_wallet ON topups.top_ups USING btree (merchant_id, wallet_id, id);
GRANT INSERT, SELECT, UPDATE ON topups.top_ups TO tillgate_app;

CREATE SCHEMA wallets;
GRANT USAGE ON SCHEMA wallets TO tillgate_app;

CREATE TYPE wallets.counter_change AS (
    merchant_id bigint,
    id text,
    read bigint,
    spent_on date,
    spent_today bigint,
    sequence bigint
);

CREATE TYPE wallets.transaction_row AS (
    merchant_id bigint,
    id text,
    wallet_id text,
    journal bigint,
    type text,
    amount bigint,
    principal_amount bigint,
    bonus_amount bigint,
    currency text,
    cause text,
    source text,
    description text,
    metadata jsonb,
    created_at timestamp with time zone
);

CREATE TABLE wallets.holds (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    wallet_id text NOT NULL,
    amount bigint NOT NULL,
    principal_amount bigint NOT NULL,
    bonus_amount bigint NOT NULL,
    captured_amount bigint NOT NULL DEFAULT 0,
    currency text NOT NULL,
    status text NOT NULL,
    transaction_id text,
    description text,
    metadata jsonb NOT NULL DEFAULT '{}'::jsonb,
    expires_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT holds_pkey PRIMARY KEY (merchant_id, id),
    CONSTRAINT holds_amount_check CHECK ((amount > 0)),
    CONSTRAINT holds_check CHECK ((amount = (principal_amount + bonus_amount))),
    CONSTRAINT holds_check1 CHECK ((captured_amount <= amount)),
    CONSTRAINT holds_status_check CHECK ((status = ANY (ARRAY['open'::text, 'captured'::text, 'released'::text, 'expired'::text])))
) WITH (fillfactor=80);
CREATE INDEX holds_of_wallet ON wallets.holds USING btree (merchant_id, wallet_id, id);
GRANT INSERT, SELECT, UPDATE ON wallets.holds TO tillgate_app;

CREATE TABLE wallets.transactions (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    wallet_id text NOT NULL,
    journal bigint NOT NULL,
    type text NOT NULL,
    amount bigint NOT NULL,
    principal_amount bigint NOT NULL,
    bonus_amount bigint NOT NULL,
    currency text NOT NULL,
    cause text NOT NULL,
    source text,
    description text,
    metadata jsonb NOT NULL DEFAULT '{}'::jsonb,
    refunded_principal bigint NOT NULL DEFAULT 0,
    refunded_bonus bigint NOT NULL DEFAULT 0,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT transactions_pkey PRIMARY KEY (merchant_id, id),
    CONSTRAINT transactions_check CHECK ((amount = (principal_amount + bonus_amount))),
    CONSTRAINT transactions_check1 CHECK (((refunded_principal >= 0) AND (refunded_principal <= GREATEST((- principal_amount), (0)::bigint)))),
    CONSTRAINT transactions_check2 CHECK (((refunded_bonus >= 0) AND (refunded_bonus <= GREATEST((- bonus_amount), (0)::bigint))))
) WITH (fillfactor=90);
CREATE UNIQUE INDEX transactions_of_wallet ON wallets.transactions USING btree (merchant_id, wallet_id, journal);
GRANT INSERT, SELECT ON wallets.transactions TO tillgate_app;

CREATE TABLE wallets.wallets (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    customer_id text NOT NULL,
    currency text NOT NULL,
    principal_account bigint NOT NULL,
    bonus_account bigint NOT NULL,
    status text NOT NULL DEFAULT 'open'::text,
    limit_single bigint,
    limit_daily bigint,
    limit_balance bigint,
    spent_on date,
    spent_today bigint NOT NULL DEFAULT 0,
    description text,
    metadata jsonb NOT NULL DEFAULT '{}'::jsonb,
    sequence bigint NOT NULL DEFAULT 1,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT wallets_pkey PRIMARY KEY (merchant_id, id),
    CONSTRAINT wallets_merchant_id_customer_id_currency_key UNIQUE (merchant_id, customer_id, currency),
    CONSTRAINT wallets_limit_balance_check CHECK ((limit_balance > 0)),
    CONSTRAINT wallets_limit_daily_check CHECK ((limit_daily > 0)),
    CONSTRAINT wallets_limit_single_check CHECK ((limit_single > 0)),
    CONSTRAINT wallets_status_check CHECK ((status = ANY (ARRAY['open'::text, 'frozen'::text, 'closed'::text])))
) WITH (fillfactor=70);
GRANT INSERT, SELECT, UPDATE ON wallets.wallets TO tillgate_app;

CREATE SCHEMA webhooks;
GRANT USAGE ON SCHEMA webhooks TO tillgate_app;

CREATE TABLE webhooks.deliveries (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    endpoint_id text NOT NULL,
    event_id text NOT NULL,
    status text NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    next_at timestamp with time zone,
    last_status integer,
    last_error text,
    last_answer text,
    last_milliseconds integer,
    created_at timestamp with time zone NOT NULL,
    delivered_at timestamp with time zone,
    started_at timestamp with time zone,
    CONSTRAINT deliveries_pkey PRIMARY KEY (merchant_id, id),
    CONSTRAINT deliveries_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'delivered'::text, 'abandoned'::text])))
) WITH (fillfactor=70, autovacuum_vacuum_scale_factor=0.01);
CREATE INDEX deliveries_due ON webhooks.deliveries USING btree (merchant_id, endpoint_id, next_at) WHERE (next_at IS NOT NULL);
CREATE INDEX deliveries_of_endpoint ON webhooks.deliveries USING btree (merchant_id, endpoint_id, id);
CREATE INDEX deliveries_of_event ON webhooks.deliveries USING btree (merchant_id, event_id);
CREATE INDEX deliveries_undelivered ON webhooks.deliveries USING btree (merchant_id, status, id) WHERE (status <> 'delivered'::text);
CREATE UNIQUE INDEX deliveries_once ON webhooks.deliveries USING btree (merchant_id, endpoint_id, event_id);
GRANT DELETE, INSERT, SELECT, UPDATE ON webhooks.deliveries TO tillgate_app;

CREATE TABLE webhooks.endpoints (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    url text NOT NULL,
    enabled_events jsonb NOT NULL,
    status text NOT NULL DEFAULT 'enabled'::text,
    description text,
    api_version text,
    metadata jsonb NOT NULL DEFAULT '{}'::jsonb,
    sealed_secret bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    paused_until timestamp with time zone,
    failures integer NOT NULL DEFAULT 0,
    sealed_previous bytea,
    previous_until timestamp with time zone,
    CONSTRAINT endpoints_pkey PRIMARY KEY (merchant_id, id),
    CONSTRAINT endpoints_status_check CHECK ((status = ANY (ARRAY['enabled'::text, 'disabled'::text])))
) WITH (fillfactor=70);
GRANT DELETE, INSERT, SELECT, UPDATE ON webhooks.endpoints TO tillgate_app;

CREATE TABLE webhooks.tries (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    delivery_id text NOT NULL,
    number integer NOT NULL,
    status integer,
    error text,
    answer text,
    milliseconds integer NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT tries_pkey PRIMARY KEY (merchant_id, id)
);
CREATE INDEX tries_of_delivery ON webhooks.tries USING btree (merchant_id, delivery_id, id);
GRANT INSERT, SELECT ON webhooks.tries TO tillgate_app;
