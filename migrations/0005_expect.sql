-- context: runtime: writes that are sent together say how many rows each has to touch
-- deploy: before the code
-- locks: none
-- rows: none

-- Fails, and with it the statement that asks, where a count is not the one that was wanted (NULL: any
-- will do). The message is the place of the first one that differs. A statement that checks itself
-- needs no transaction around it.
CREATE FUNCTION runtime.expect(counts bigint[], wanted bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    FOR place IN 1 .. cardinality(counts) LOOP
        IF counts[place] <> wanted[place] THEN
            RAISE EXCEPTION USING ERRCODE = 'TG001', MESSAGE = place::text;
        END IF;
    END LOOP;
END
$$;
