-- context: webhooks: rolled secrets, the log of tries; runtime: parked facts, heartbeats
-- deploy: before the code
-- locks: webhooks.endpoints and webhooks.deliveries, for a moment (new nullable columns)
-- rows: none
-- local: runtime.heartbeats (a process belongs to the installation, not to a merchant)

ALTER TABLE webhooks.endpoints
    -- The secret before a roll: both sign until this moment.
    ADD COLUMN sealed_previous bytea,
    ADD COLUMN previous_until timestamptz;
-- Three days are counted from here: a replay starts them anew.
ALTER TABLE webhooks.deliveries ADD COLUMN started_at timestamptz;

CREATE TABLE webhooks.tries (
    merchant_id bigint NOT NULL,
    id text NOT NULL,
    delivery_id text NOT NULL,
    number int NOT NULL,
    status int,                         -- the HTTP status; NULL: there was no answer
    error text,
    answer text,                        -- the first part of it
    milliseconds int NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, id)
);
CREATE INDEX tries_of_delivery ON webhooks.tries (merchant_id, delivery_id, id);

-- Facts that a subscriber failed on: taken out of the way of the others, tried again with back-off.
CREATE TABLE runtime.parked_facts (
    merchant_id bigint NOT NULL,
    fact_id text NOT NULL,
    tries int NOT NULL,
    next_at timestamptz NOT NULL,
    note text NOT NULL,
    parked_at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, fact_id)
);
CREATE INDEX parked_facts_due ON runtime.parked_facts (next_at);

CREATE TABLE runtime.heartbeats (
    process text PRIMARY KEY,
    kind text NOT NULL,
    at timestamptz NOT NULL,
    started_at timestamptz NOT NULL
) WITH (fillfactor = 50);

GRANT SELECT, INSERT ON webhooks.tries TO tillgate_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.parked_facts, runtime.heartbeats TO tillgate_app;
