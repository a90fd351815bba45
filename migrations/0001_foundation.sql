-- context: the foundation: roles, runtime, merchants, customers, ledger, wallets, payments, top-ups, webhooks
-- deploy: before the code
-- locks: none (new tables)
-- rows: none
--
-- Shaped for Citus from the first day: merchant_id stands in every primary key, unique constraint and
-- foreign key of a tenant's table, and no such table has a trigger. A merchant's test mode and live
-- mode are two tenants (two merchant_id), so that nothing of one can ever be reached with a key of
-- the other. Append-only tables are append-only by the application's grants.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tillgate_app') THEN
        CREATE ROLE tillgate_app NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- another database of this server was faster
END $$;

-- runtime -------------------------------------------------------------------------------------

CREATE TABLE runtime.facts (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    name text NOT NULL,
    object_id text NOT NULL,
    sequence bigint NOT NULL,
    data bytea NOT NULL,
    previous bytea,
    at timestamptz NOT NULL,
    request_id text,
    idempotency_key text,
    PRIMARY KEY (merchant_id, id)
);
CREATE INDEX facts_of_object ON runtime.facts (merchant_id, object_id, sequence);
-- The facts that their subscribers have not heard yet. Apart, so that facts are written once and for
-- ever, and a relayed one costs the end of a small row instead of a second copy of a large one.
CREATE TABLE runtime.outbox (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, id)
);

-- Raw notices of providers, stored before they are understood.
CREATE TABLE runtime.notices (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    provider_account_id text NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    received_at timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'received' CHECK (status IN ('received', 'applied', 'refused', 'failed')),
    tries int NOT NULL DEFAULT 0,
    next_at timestamptz,
    applied_at timestamptz,
    note text,
    PRIMARY KEY (merchant_id, id)
) WITH (fillfactor = 80);
CREATE INDEX notices_waiting ON runtime.notices (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE runtime.idempotency (
    merchant_id bigint NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_hash bytea NOT NULL,
    request_id text NOT NULL,
    -- What the request works on, so that a request whose worker died can be finished by looking.
    object_id text,
    status smallint,           -- NULL while the request is under way
    body bytea,
    created_at timestamptz NOT NULL,
    locked_at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, key)
) WITH (fillfactor = 80);
CREATE INDEX idempotency_age ON runtime.idempotency USING brin (created_at);
CREATE INDEX idempotency_open ON runtime.idempotency (locked_at) WHERE status IS NULL;

-- merchants -----------------------------------------------------------------------------------

CREATE SCHEMA merchants;
CREATE SEQUENCE merchants.numbers INCREMENT BY 2 START WITH 2;
CREATE TABLE merchants.merchants (
    merchant_id bigint PRIMARY KEY,     -- even: live, odd: test
    account text NOT NULL,              -- acct_…, the same for both modes
    livemode boolean NOT NULL,
    name text NOT NULL,
    default_currency text NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    CHECK (livemode = (merchant_id % 2 = 0)),
    UNIQUE (merchant_id, account)
);
CREATE TABLE merchants.api_keys (
    merchant_id bigint NOT NULL REFERENCES merchants.merchants (merchant_id),
    id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('secret', 'publishable')),
    digest bytea NOT NULL,
    hint text NOT NULL,                 -- the first and last characters, to tell keys apart
    name text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz,
    PRIMARY KEY (merchant_id, id),
    UNIQUE (merchant_id, digest)
);
CREATE INDEX api_keys_by_digest ON merchants.api_keys (digest);
CREATE TABLE merchants.provider_accounts (
    merchant_id bigint NOT NULL REFERENCES merchants.merchants (merchant_id),
    id text NOT NULL,
    provider text NOT NULL,             -- alipay, wechat_pay, stripe
    sealed bytea NOT NULL,              -- the connector's configuration, encrypted
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (merchant_id, id)
);

-- customers -----------------------------------------------------------------------------------

CREATE SCHEMA customers;
CREATE TABLE customers.customers (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    email text,
    name text,
    phone text,
    description text,
    address jsonb,
    shipping jsonb,
    preferred_locales jsonb NOT NULL DEFAULT '[]',
    metadata jsonb NOT NULL DEFAULT '{}',
    default_payment_method text,
    sequence bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz,
    PRIMARY KEY (merchant_id, id)
);
CREATE INDEX customers_by_email ON customers.customers (merchant_id, email) WHERE email IS NOT NULL;
CREATE TABLE customers.payment_methods (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    customer_id text,
    type text NOT NULL,                 -- card, alipay, wechat_pay
    provider_token text,                -- the provider's token; never a card number
    details jsonb NOT NULL DEFAULT '{}',
    billing_details jsonb NOT NULL DEFAULT '{}',
    metadata jsonb NOT NULL DEFAULT '{}',
    sequence bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, id)
);
CREATE INDEX payment_methods_of_customer ON customers.payment_methods (merchant_id, customer_id, id)
    WHERE customer_id IS NOT NULL;

-- ledger --------------------------------------------------------------------------------------

CREATE SCHEMA ledger;
-- One row per merchant: its lock serialises the merchant's books, its counters have no gaps.
CREATE TABLE ledger.books (
    merchant_id bigint PRIMARY KEY,
    last_journal bigint NOT NULL DEFAULT 0,
    last_account bigint NOT NULL DEFAULT 0,
    last_at timestamptz NOT NULL DEFAULT 'epoch',
    stamp bigint NOT NULL DEFAULT 0     -- drawn anew by each write; who finds his own knows all accounts
) WITH (fillfactor = 20);
CREATE TABLE ledger.accounts (
    merchant_id bigint NOT NULL,
    number bigint NOT NULL,
    code text NOT NULL,                 -- wallet:wal_…:principal, provider:alipay:receivable, …
    currency text NOT NULL,
    normal_side text NOT NULL CHECK (normal_side IN ('credit', 'debit')),
    floor bigint,                       -- balance - held may not fall below; NULL: no floor
    balance bigint NOT NULL DEFAULT 0,  -- credits minus debits
    held bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, number),
    UNIQUE (merchant_id, code, currency)
) WITH (fillfactor = 60);
-- A journal is the lines of one cause. A line moves an amount from its debit to its credit account,
-- so a journal balances in every currency by construction. A posting is one side of a line.
CREATE TABLE ledger.lines (
    merchant_id bigint NOT NULL,
    journal bigint NOT NULL,            -- counts up by one per merchant, no gaps
    line smallint NOT NULL,
    cause text NOT NULL,
    currency text NOT NULL,
    debit bigint NOT NULL,
    credit bigint NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    debit_after bigint NOT NULL,
    credit_after bigint NOT NULL,
    at timestamptz NOT NULL,
    CHECK (debit <> credit),
    PRIMARY KEY (merchant_id, journal, line),
    UNIQUE (merchant_id, cause, line)
);
CREATE INDEX lines_by_debit ON ledger.lines (merchant_id, debit, journal, line);
CREATE INDEX lines_by_credit ON ledger.lines (merchant_id, credit, journal, line);
-- A hold sets amounts aside on one or more accounts: a row for each. Posting or voiding ends it whole.
CREATE TABLE ledger.holds (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    account bigint NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    status text NOT NULL CHECK (status IN ('open', 'posted', 'voided', 'expired')),
    expires_at timestamptz,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (merchant_id, id, account)
) WITH (fillfactor = 80);
CREATE INDEX holds_expiring ON ledger.holds (merchant_id, expires_at) WHERE status = 'open' AND expires_at IS NOT NULL;
CREATE INDEX holds_of_account ON ledger.holds (merchant_id, account) WHERE status = 'open';
-- The hash chain over journals, in sealed batches.
CREATE TABLE ledger.seals (
    merchant_id bigint NOT NULL,
    number bigint NOT NULL,
    first_journal bigint NOT NULL,
    last_journal bigint NOT NULL,
    last_at timestamptz NOT NULL,
    previous bytea NOT NULL,
    digests bytea NOT NULL,             -- 16 bytes for each journal: which one was changed
    hash bytea NOT NULL,                -- over the previous hash, the range, and all of every line
    sealed_at timestamptz NOT NULL,
    CHECK (last_journal >= first_journal),
    PRIMARY KEY (merchant_id, number),
    UNIQUE (merchant_id, first_journal)
);

-- wallets -------------------------------------------------------------------------------------

CREATE SCHEMA wallets;
CREATE TABLE wallets.wallets (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    customer_id text NOT NULL,
    currency text NOT NULL,
    principal_account bigint NOT NULL,
    bonus_account bigint NOT NULL,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'frozen', 'closed')),
    limit_single bigint CHECK (limit_single > 0),
    limit_daily bigint CHECK (limit_daily > 0),
    limit_balance bigint CHECK (limit_balance > 0),
    spent_on date,
    spent_today bigint NOT NULL DEFAULT 0,
    description text,
    metadata jsonb NOT NULL DEFAULT '{}',
    sequence bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, id),
    UNIQUE (merchant_id, customer_id, currency)
) WITH (fillfactor = 70);
-- What a journal of the ledger meant to a wallet. Amounts and balances are the ledger's; these copies
-- are there to cap refunds and are compared with it by the doctor.
CREATE TABLE wallets.transactions (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    wallet_id text NOT NULL,
    journal bigint NOT NULL,            -- the ledger's
    type text NOT NULL,                 -- top_up, bonus, spend, spend_refund, capture, transfer_in, transfer_out, refund, refund_reversal, adjustment
    amount bigint NOT NULL,             -- signed: + into the wallet
    principal_amount bigint NOT NULL,
    bonus_amount bigint NOT NULL,
    currency text NOT NULL,
    cause text NOT NULL,
    source text,                        -- the object it comes from: top_…, re_…, hold_…, wal_…, wtx_…
    description text,
    metadata jsonb NOT NULL DEFAULT '{}',
    -- What has been given back of a spend or a capture; the cap is a constraint, not a hope.
    refunded_principal bigint NOT NULL DEFAULT 0,
    refunded_bonus bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, id),
    CHECK (amount = principal_amount + bonus_amount),
    CHECK (refunded_principal BETWEEN 0 AND greatest(-principal_amount, 0)),
    CHECK (refunded_bonus BETWEEN 0 AND greatest(-bonus_amount, 0))
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX transactions_of_wallet ON wallets.transactions (merchant_id, wallet_id, journal);
CREATE TABLE wallets.holds (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    wallet_id text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    principal_amount bigint NOT NULL,
    bonus_amount bigint NOT NULL,
    captured_amount bigint NOT NULL DEFAULT 0,
    currency text NOT NULL,
    status text NOT NULL CHECK (status IN ('open', 'captured', 'released', 'expired')),
    transaction_id text,
    description text,
    metadata jsonb NOT NULL DEFAULT '{}',
    expires_at timestamptz,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (merchant_id, id),
    CHECK (amount = principal_amount + bonus_amount),
    CHECK (captured_amount <= amount)
) WITH (fillfactor = 80);
CREATE INDEX holds_of_wallet ON wallets.holds (merchant_id, wallet_id, id);

-- payments ------------------------------------------------------------------------------------

CREATE SCHEMA payments;
CREATE TABLE payments.payments (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    status text NOT NULL,
    capture_method text NOT NULL DEFAULT 'automatic',
    confirmation_method text NOT NULL DEFAULT 'automatic',
    customer_id text,
    method_types jsonb NOT NULL,
    payment_method text,                -- pm_…, or a bare type
    method_options jsonb NOT NULL DEFAULT '{}',
    pay_into bigint,                    -- the ledger account that is credited; NULL: the merchant's sales
    owed_account bigint,                -- who owes what a refund finds already spent (policy receivable)
    refund_policy text NOT NULL DEFAULT 'block' CHECK (refund_policy IN ('block', 'partial', 'receivable')),
    gifts jsonb NOT NULL DEFAULT '[]',  -- booked with the payment, taken back with it
    subject text,                       -- what the payment is for: top_…
    amount_capturable bigint NOT NULL DEFAULT 0,
    amount_received bigint NOT NULL DEFAULT 0,
    -- Refunds that have succeeded or may still succeed; the cap is a constraint, not a hope.
    amount_refunded bigint NOT NULL DEFAULT 0,
    latest_attempt text,
    open_attempt text,
    attempts int NOT NULL DEFAULT 0,
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
    metadata jsonb NOT NULL DEFAULT '{}',
    expires_at timestamptz,
    canceled_at timestamptz,
    cancellation_reason text,
    sequence bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, id),
    CHECK (amount_refunded >= 0 AND amount_refunded <= amount_received)
) WITH (fillfactor = 70);
CREATE INDEX payments_of_customer ON payments.payments (merchant_id, customer_id, id) WHERE customer_id IS NOT NULL;
CREATE INDEX payments_expiring ON payments.payments (expires_at)
    WHERE expires_at IS NOT NULL AND open_attempt IS NULL AND status IN ('requires_payment_method', 'requires_confirmation');
CREATE TABLE payments.attempts (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    payment_id text NOT NULL,
    provider_account_id text NOT NULL,
    provider text NOT NULL,
    presentation text NOT NULL,
    payment_method text,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    status text NOT NULL,
    reference text,                     -- the provider's
    next_step jsonb,
    error jsonb,
    instrument jsonb NOT NULL DEFAULT '{}',
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
    closing boolean NOT NULL DEFAULT false, -- we want it closed upstream
    expires_at timestamptz,
    look_up_at timestamptz,
    look_ups int NOT NULL DEFAULT 0,
    sequence bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    paid_at timestamptz,
    PRIMARY KEY (merchant_id, id)
) WITH (fillfactor = 70);
CREATE INDEX attempts_of_payment ON payments.attempts (merchant_id, payment_id, id);
CREATE INDEX attempts_due ON payments.attempts (look_up_at) WHERE look_up_at IS NOT NULL;
-- One provider order that can still be paid at a time. (A mismatched one is paid, and may be an old
-- order whose money came late and wrong while a newer one is open.)
CREATE UNIQUE INDEX attempts_one_open ON payments.attempts (merchant_id, payment_id)
    WHERE status IN ('created', 'waiting', 'unknown', 'authorised');
-- The same provider payment is never booked twice.
CREATE UNIQUE INDEX attempts_reference ON payments.attempts (merchant_id, provider_account_id, reference)
    WHERE reference IS NOT NULL AND status = 'paid';
CREATE TABLE payments.refunds (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    payment_id text NOT NULL,
    attempt_id text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    status text NOT NULL CHECK (status IN ('created', 'unknown', 'pending', 'succeeded', 'failed', 'canceled')),
    reason text,
    failure_reason text,
    reference text,
    take_back jsonb NOT NULL DEFAULT '[]', -- the ledger lines that took the money back at creation
    surplus boolean NOT NULL DEFAULT false,
    metadata jsonb NOT NULL DEFAULT '{}',
    look_up_at timestamptz,
    look_ups int NOT NULL DEFAULT 0,
    sequence bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, id)
) WITH (fillfactor = 70);
CREATE INDEX refunds_of_payment ON payments.refunds (merchant_id, payment_id, id);
CREATE INDEX refunds_due ON payments.refunds (look_up_at) WHERE look_up_at IS NOT NULL;
-- Where a provider's word and ours differ: a person looks at it.
CREATE TABLE payments.breaks (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,                 -- amount, currency, account, contradiction, second_payment
    attempt_id text,
    refund_id text,
    ours jsonb NOT NULL,
    theirs jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    resolved_at timestamptz,
    resolution text,
    PRIMARY KEY (merchant_id, id)
);
CREATE UNIQUE INDEX breaks_open ON payments.breaks (merchant_id, kind, coalesce(attempt_id, ''), coalesce(refund_id, '')) WHERE resolved_at IS NULL;

-- top-ups -------------------------------------------------------------------------------------

CREATE SCHEMA topups;
CREATE TABLE topups.top_ups (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    wallet_id text NOT NULL,
    customer_id text NOT NULL,
    payment_id text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    bonus_amount bigint NOT NULL DEFAULT 0 CHECK (bonus_amount >= 0),
    currency text NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    sequence bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, id),
    UNIQUE (merchant_id, payment_id)
) WITH (fillfactor = 70);
CREATE INDEX top_ups_of_wallet ON topups.top_ups (merchant_id, wallet_id, id);

-- webhooks ------------------------------------------------------------------------------------

CREATE SCHEMA webhooks;
CREATE TABLE webhooks.endpoints (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    url text NOT NULL,
    enabled_events jsonb NOT NULL,
    status text NOT NULL DEFAULT 'enabled' CHECK (status IN ('enabled', 'disabled')),
    description text,
    api_version text,
    metadata jsonb NOT NULL DEFAULT '{}',
    sealed_secret bytea NOT NULL,
    created_at timestamptz NOT NULL,
    -- The endpoint's own queue: nothing is sent to it before this moment.
    paused_until timestamptz,
    failures int NOT NULL DEFAULT 0,
    PRIMARY KEY (merchant_id, id)
) WITH (fillfactor = 70);
CREATE TABLE webhooks.deliveries (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    endpoint_id text NOT NULL,
    event_id text NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'delivered', 'abandoned')),
    tries int NOT NULL DEFAULT 0,
    next_at timestamptz,
    last_status int,
    last_error text,
    last_answer text,
    last_milliseconds int,
    created_at timestamptz NOT NULL,
    delivered_at timestamptz,
    PRIMARY KEY (merchant_id, id)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX deliveries_once ON webhooks.deliveries (merchant_id, endpoint_id, event_id);
CREATE INDEX deliveries_due ON webhooks.deliveries (merchant_id, endpoint_id, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_of_event ON webhooks.deliveries (merchant_id, event_id);

-- grants --------------------------------------------------------------------------------------

GRANT USAGE ON SCHEMA runtime, merchants, customers, ledger, wallets, payments, topups, webhooks TO tillgate_app;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA merchants, customers, wallets, payments, topups, webhooks TO tillgate_app;
GRANT USAGE ON SEQUENCE merchants.numbers TO tillgate_app;
GRANT SELECT ON runtime.migrations TO tillgate_app;
GRANT SELECT, INSERT ON runtime.facts TO tillgate_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.outbox TO tillgate_app;
GRANT SELECT, INSERT ON runtime.notices TO tillgate_app;
GRANT UPDATE (status, tries, next_at, applied_at, note) ON runtime.notices TO tillgate_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.idempotency TO tillgate_app;
GRANT DELETE ON webhooks.endpoints, webhooks.deliveries, merchants.provider_accounts TO tillgate_app;
GRANT SELECT, INSERT ON ledger.lines, ledger.seals TO tillgate_app;
GRANT SELECT, INSERT, UPDATE ON ledger.books, ledger.accounts, ledger.holds TO tillgate_app;
-- A wallet's transaction says what happened; only the ledger and its own description follow it.
REVOKE UPDATE ON wallets.transactions FROM tillgate_app;
GRANT UPDATE (description, metadata, refunded_principal, refunded_bonus) ON wallets.transactions TO tillgate_app;
