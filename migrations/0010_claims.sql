-- context: runtime: a key is taken together with the object that is made under it
-- deploy: before the code
-- locks: none
-- rows: none

-- As runtime.claim_row, which the processes that still run the code before go on using, with what the
-- request works on: where the first transaction of the work takes the key, it is known by then.
CREATE TYPE runtime.claim_row_2 AS (
    merchant_id bigint, key text, request_hash bytea, request_id text, operation text, expand jsonb,
    object_id text
);
