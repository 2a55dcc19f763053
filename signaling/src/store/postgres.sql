-- What services keep in a server they share. Done at each start.

CREATE TABLE IF NOT EXISTS pillion_records (
    kind smallint NOT NULL, id bytea NOT NULL, seq bigint NOT NULL, expires bigint NOT NULL,
    live boolean NOT NULL, bytes bytea NOT NULL, owner bytea NOT NULL, PRIMARY KEY (kind, id));

CREATE INDEX IF NOT EXISTS pillion_records_expires ON pillion_records (expires);
CREATE INDEX IF NOT EXISTS pillion_records_owner ON pillion_records (owner, kind, id);

-- How many records each network has, and which network it is directly inside of. The row of everybody
-- ('') is always there; who changes holdings locks it first, so that no two wait for each other.
CREATE TABLE IF NOT EXISTS pillion_holdings (
    network bytea PRIMARY KEY, within bytea, held bigint NOT NULL);

CREATE INDEX IF NOT EXISTS pillion_holdings_order ON pillion_holdings (within, held, network);

INSERT INTO pillion_holdings VALUES ('', NULL, 0) ON CONFLICT DO NOTHING;

-- A network and all it is inside of, as in src/share.rs: a version and four bytes, or six to eight.
CREATE OR REPLACE FUNCTION pillion_lineage(own bytea) RETURNS SETOF bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT substring(own FROM 1 FOR bytes)
    FROM unnest(CASE WHEN own = '' THEN ARRAY[0] WHEN get_byte(own, 0) = 4 THEN ARRAY[0, 5]
        ELSE ARRAY[0, 7, 8, 9] END) AS bytes
    WHERE bytes <= length(own)
$$;

-- Keeps a record if there is none; whether there was none.
CREATE OR REPLACE FUNCTION pillion_keep(kind_ smallint, id_ bytea, seq_ bigint, expires_ bigint,
    live_ boolean, bytes_ bytea, owner_ bytea) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM pillion_holdings WHERE network = '' FOR UPDATE;
    INSERT INTO pillion_records (kind, id, seq, expires, live, bytes, owner)
        VALUES (kind_, id_, seq_, expires_, live_, bytes_, owner_) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO pillion_holdings AS old (network, within, held)
        SELECT network, lag(network) OVER (ORDER BY length(network)), 1
        FROM pillion_lineage(owner_) AS network
        ON CONFLICT (network) DO UPDATE SET held = old.held + 1;
    RETURN true;
END $$;

-- Takes records that were deleted off what their owners hold; there is one owner for each record.
CREATE OR REPLACE FUNCTION pillion_release(owners bytea[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE pillion_holdings SET held = held - less.count
        FROM (SELECT network, count(*) FROM unnest(owners) AS own, pillion_lineage(own) AS network
            GROUP BY network) AS less
        WHERE pillion_holdings.network = less.network;
    DELETE FROM pillion_holdings WHERE held <= 0 AND network <> ''
        AND network IN (SELECT pillion_lineage(own) FROM unnest(owners) AS own);
END $$;

-- Drops the first record of an owner.
CREATE OR REPLACE FUNCTION pillion_drop_one(owner_ bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    owners bytea[];
BEGIN
    PERFORM 1 FROM pillion_holdings WHERE network = '' FOR UPDATE;
    WITH gone AS (DELETE FROM pillion_records WHERE (kind, id) IN (
            SELECT kind, id FROM pillion_records WHERE owner = owner_ ORDER BY kind, id LIMIT 1)
        RETURNING owner)
        SELECT array_agg(owner) FROM gone INTO owners;
    PERFORM pillion_release(owners);
END $$;

-- Forgets some of what has expired, a step at a time, so that no lock is held for long; how many.
CREATE OR REPLACE FUNCTION pillion_sweep(now_ bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    owners bytea[];
BEGIN
    PERFORM 1 FROM pillion_holdings WHERE network = '' FOR UPDATE;
    WITH gone AS (DELETE FROM pillion_records WHERE (kind, id) IN (
            SELECT kind, id FROM pillion_records WHERE expires < now_ LIMIT 2000 FOR UPDATE SKIP LOCKED)
        RETURNING owner)
        SELECT array_agg(owner) FROM gone INTO owners;
    PERFORM pillion_release(owners);
    RETURN COALESCE(array_length(owners, 1), 0);
END $$;
