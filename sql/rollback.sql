-- Restore systems as it was before migrate.sql, without losing anything written since.
--
-- Three states are merged: before (what migrate.sql found), after (what it made of that) and live (now). A value
-- unchanged since migrate.sql gets its previous value; any other value is translated. What the old schema cannot
-- express, systems of other vendors and memberships, is kept for the next migrate.sql.
--
-- The CREATE statements match the previous sqlite_schema character by character: comparing it proves the rollback.


-- Guards: refuse a database that this script was not written for, before anything is touched.

SELECT CASE WHEN (SELECT foreign_keys FROM pragma_foreign_keys) = 0 THEN 1
  ELSE json_extract('{}', 'foreign keys are on: dropping systems would delete all readings') END;

SELECT CASE WHEN (
  SELECT count(*) FROM sqlite_schema
  WHERE name IN ('_orchestrate_kept_systems_before', '_orchestrate_kept_systems_after', '_orchestrate_kept_ownerless')
) = 3 THEN 1 ELSE json_extract('{}', 'what migrate.sql kept is not there: not migrated, or accepted since') END;

SELECT CASE WHEN (
  SELECT group_concat(line, ', ') FROM (
    SELECT m.name || '.' || lower(c.name || ' ' || c.type) || iif(c.pk, ' key', iif(c."notnull", '!', ''))
      || coalesce(' =' || lower(c.dflt_value), '') || iif(c.hidden, ' hidden', '') AS line
    FROM sqlite_schema AS m, pragma_table_xinfo(m.name) AS c
    WHERE m.name IN ('systems', 'user_systems') ORDER BY m.name, c.cid
  )
) = 'systems.id integer key, systems.owner_clerk_user_id text, systems.vendor_type text!, '
  || 'systems.vendor_site_id text!, systems.display_name text!, systems.model text, systems.serial text, '
  || 'systems.ratings text, systems.solar_size text, systems.battery_size text, '
  || 'systems.timezone_offset_min integer! =600, '
  || 'systems.created_at integer! =unixepoch(), systems.updated_at integer! =unixepoch(), '
  || 'user_systems.id integer key, user_systems.clerk_user_id text!, user_systems.system_id integer!, '
  || 'user_systems.role text! =''viewer'', '
  || 'user_systems.created_at integer! =unixepoch(), user_systems.updated_at integer! =unixepoch()' THEN 1
  ELSE json_extract('{}', 'systems or user_systems has other columns than migrate.sql gave it') END;

SELECT CASE WHEN (
  SELECT group_concat(name, ', ') FROM (
    SELECT name FROM sqlite_schema
    WHERE type = 'index' AND tbl_name IN ('systems', 'user_systems') COLLATE NOCASE ORDER BY name
  )
) = 'owner_clerk_user_idx, user_system_unique, user_systems_system_idx, user_systems_user_idx, '
  || 'vendor_site_unique' THEN 1
  ELSE json_extract('{}', 'systems or user_systems has other indexes than migrate.sql gave it') END;

SELECT CASE WHEN NOT EXISTS (
  SELECT 1 FROM sqlite_schema WHERE type IN ('trigger', 'view') AND sql LIKE '%systems%'
) THEN 1 ELSE json_extract('{}', 'a trigger or a view uses systems or user_systems') END;

SELECT CASE WHEN NOT EXISTS (
  SELECT 1 FROM sqlite_schema AS m, pragma_foreign_key_list(m.name) AS f
  WHERE m.type = 'table' AND f."table" = 'user_systems' COLLATE NOCASE
) THEN 1 ELSE json_extract('{}', 'a table references user_systems') END;


-- The current systems and memberships.

CREATE TABLE _orchestrate_kept_systems_live AS SELECT * FROM systems;

CREATE TABLE _orchestrate_kept_user_systems AS SELECT * FROM user_systems;

CREATE TABLE _orchestrate_kept_sequence AS
SELECT name, seq FROM sqlite_sequence WHERE name IN ('systems', 'user_systems');


-- systems with its previous schema, merged from before, after and live.

DROP TABLE user_systems;

DROP TABLE systems;

CREATE TABLE systems (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id TEXT NOT NULL,
  system_number TEXT NOT NULL,
  display_name TEXT,
  model TEXT,
  serial TEXT,
  ratings TEXT,
  solar_size TEXT,
  battery_size TEXT,
  created_at INTEGER NOT NULL DEFAULT (unixepoch()),
  updated_at INTEGER NOT NULL DEFAULT (unixepoch())
, timezone_offset INTEGER NOT NULL DEFAULT 10, owner_clerk_user_id TEXT);

-- user_id: the previous one, or that of another system of the same owner, or the owner's own id.
-- system_number: prefixed with the vendor if it is another one: old code must not take it for a site of its own vendor.
-- timezone_offset: text that bad code wrote instead of minutes is passed on, because it may be why this runs.
INSERT INTO systems (
  id, user_id, system_number, display_name, model, serial, ratings, solar_size, battery_size,
  created_at, updated_at, timezone_offset, owner_clerk_user_id
)
SELECT
  live.id,
  coalesce(
    b.user_id,
    (SELECT o.user_id FROM _orchestrate_kept_systems_before AS o
     WHERE o.owner_clerk_user_id = live.owner_clerk_user_id ORDER BY o.id LIMIT 1),
    live.owner_clerk_user_id,
    'unknown'
  ),
  iif(live.vendor_type = 'select.live', '', live.vendor_type || ':') || live.vendor_site_id,
  iif(live.display_name = a.display_name, b.display_name, live.display_name),
  live.model, live.serial, live.ratings, live.solar_size, live.battery_size,
  live.created_at, live.updated_at,
  CASE
    WHEN live.timezone_offset_min = a.timezone_offset_min THEN b.timezone_offset
    WHEN typeof(live.timezone_offset_min) = 'text' THEN live.timezone_offset_min
    ELSE live.timezone_offset_min / 60.0
  END,
  live.owner_clerk_user_id
FROM _orchestrate_kept_systems_live AS live
LEFT JOIN _orchestrate_kept_systems_before AS b ON b.id = live.id
LEFT JOIN _orchestrate_kept_systems_after AS a ON a.id = live.id;

-- The sequence never decreases, otherwise the id of a system deleted since would be used again.
DELETE FROM sqlite_sequence WHERE name = 'systems';

INSERT INTO sqlite_sequence (name, seq) SELECT name, seq FROM _orchestrate_kept_sequence WHERE name = 'systems';

CREATE INDEX user_system_idx ON systems (user_id, system_number);

-- For the next migrate.sql: the vendor, site and owner behind each number.
CREATE TABLE _orchestrate_kept_systems_undone AS
SELECT live.id, s.system_number, live.owner_clerk_user_id, live.vendor_type, live.vendor_site_id
FROM _orchestrate_kept_systems_live AS live JOIN systems AS s ON s.id = live.id;


-- Assertions.

SELECT CASE WHEN (SELECT count(*) FROM _orchestrate_kept_systems_undone)
  = (SELECT count(*) FROM _orchestrate_kept_systems_live)
  AND (SELECT count(*) FROM systems) = (SELECT count(*) FROM _orchestrate_kept_systems_live) THEN 1
  ELSE json_extract('{}', 'a system was lost') END;

-- A row not changed since is bit for bit the previous row; typeof distinguishes 9 from 9.0.
SELECT CASE WHEN NOT EXISTS (
  SELECT b.*, typeof(b.timezone_offset), typeof(b.created_at), typeof(b.updated_at)
  FROM _orchestrate_kept_systems_before AS b
  WHERE b.id IN (
    SELECT id FROM (
      SELECT * FROM _orchestrate_kept_systems_after INTERSECT SELECT * FROM _orchestrate_kept_systems_live
    )
  )
  EXCEPT
  SELECT s.*, typeof(s.timezone_offset), typeof(s.created_at), typeof(s.updated_at) FROM systems AS s
) THEN 1 ELSE json_extract('{}', 'a system that nobody touched is not what it was') END;

SELECT CASE WHEN (SELECT seq FROM sqlite_sequence WHERE name = 'systems')
  IS (SELECT seq FROM _orchestrate_kept_sequence WHERE name = 'systems') THEN 1
  ELSE json_extract('{}', 'the highest id of systems is another one') END;


-- No longer needed.

DROP TABLE _orchestrate_kept_systems_live;

DROP TABLE _orchestrate_kept_systems_before;

DROP TABLE _orchestrate_kept_systems_after;

DROP TABLE _orchestrate_kept_ownerless;
