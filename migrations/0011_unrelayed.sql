-- context: runtime: what is still to be relayed, up to 24 facts of a transaction in a row
-- deploy: before the code
-- locks: none
-- rows: none

-- Takes the place of runtime.outbox, which has a row for each fact: those rows, and their end, were
-- what a relay cost. A table of its own, because a relay of the code before would take a row of many
-- facts for one and forget the others. The relay moves over what the code before still writes there;
-- once that runs nowhere any more, runtime.outbox can go.
CREATE TABLE runtime.unrelayed (
    merchant_id bigint NOT NULL,
    -- The first of `ids`. A fact's name stands at the same place of `names`.
    id text NOT NULL,
    ids text[] NOT NULL,
    names text[] NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, id)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.unrelayed TO tillgate_app;
