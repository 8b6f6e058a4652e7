-- name: vendor-sites
-- changes: systems
-- changes: user_systems
-- allow: index-lost user_system_idx: vendor_site_unique and owner_clerk_user_idx take its place
-- allow: column-lost systems.user_id: it lives on in owner_clerk_user_id and _orchestrate_kept_systems_before
-- allow: column-lost systems.system_number: it lives on in vendor_site_id
-- allow: column-lost systems.timezone_offset: it lives on in timezone_offset_min
--
-- A system is identified by its vendor and the vendor's site id, its time zone is in whole minutes, and user_systems
-- lists who may see it.
--
-- systems is recreated under its own name, so its children still reference it. Foreign keys must be off: with them on,
-- DROP TABLE deletes every child row. There are no comments inside a CREATE, because sqlite_schema keeps its text.


-- Guards: refuse a database that this script was not written for, before anything is touched.

SELECT CASE WHEN (SELECT foreign_keys FROM pragma_foreign_keys) = 0 THEN 1
  ELSE json_extract('{}', 'foreign keys are on: dropping systems would delete all readings') END;

SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'user_systems' COLLATE NOCASE) THEN 1
  ELSE json_extract('{}', 'user_systems is there already') END;

SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_orchestrate_kept_systems_before') THEN 1
  ELSE json_extract('{}', 'what an earlier migration kept is still there') END;

SELECT CASE WHEN (
  SELECT group_concat(line, ', ') FROM (
    SELECT lower(name || ' ' || type) || iif(pk, ' key', iif("notnull", '!', ''))
      || coalesce(' =' || lower(dflt_value), '') || iif(hidden, ' hidden', '') AS line
    FROM pragma_table_xinfo('systems') ORDER BY cid
  )
) = 'id integer key, user_id text!, system_number text!, display_name text, model text, serial text, ratings text, '
  || 'solar_size text, battery_size text, created_at integer! =unixepoch(), updated_at integer! =unixepoch(), '
  || 'timezone_offset integer! =10, owner_clerk_user_id text' THEN 1
  ELSE json_extract('{}', 'the columns of systems are not the ones before this change') END;

-- What the columns do not show and rollback.sql would not restore: constraints, collations, the kind of table.
SELECT CASE WHEN (
  SELECT sql LIKE '%autoincrement%'
    AND sql NOT LIKE '%check%' AND sql NOT LIKE '%collate%' AND sql NOT LIKE '%references%'
    AND sql NOT LIKE '%conflict%' AND sql NOT LIKE '%strict%' AND sql NOT LIKE '%without%'
  FROM sqlite_schema WHERE type = 'table' AND name = 'systems'
) THEN 1 ELSE json_extract('{}', 'the definition of systems says more than its columns') END;

SELECT CASE WHEN (
  SELECT group_concat(line, ', ') FROM (
    SELECT i.name || iif(i."unique", ' unique', '') || iif(i.partial, ' partial', '') || ' ('
      || (SELECT group_concat(part, ', ') FROM (
           SELECT coalesce(name, '?') || iif("desc", ' desc', '') || iif(coll = 'BINARY', '', ' ' || coll) AS part
           FROM pragma_index_xinfo(i.name) WHERE key ORDER BY seqno)) || ')' AS line
    FROM pragma_index_list('systems') AS i ORDER BY i.name
  )
) = 'user_system_idx (user_id, system_number)' THEN 1
  ELSE json_extract('{}', 'the indexes of systems are not the ones before this change') END;

SELECT CASE WHEN NOT EXISTS (
  SELECT 1 FROM sqlite_schema WHERE type IN ('trigger', 'view') AND sql LIKE '%systems%'
) THEN 1 ELSE json_extract('{}', 'a trigger or a view uses systems') END;

-- A value in hours is not exact (9 h 31 min is 9.51666...), so allow for a millionth when checking for whole minutes.
SELECT CASE WHEN NOT EXISTS (
  SELECT 1 FROM systems
  WHERE typeof(timezone_offset) NOT IN ('integer', 'real')
    OR timezone_offset NOT BETWEEN -12 AND 14
    OR abs(timezone_offset * 60 - round(timezone_offset * 60)) > 0.000001
) THEN 1 ELSE json_extract('{}', 'a time zone is not a whole number of minutes between -12 and 14 hours') END;

SELECT CASE WHEN NOT EXISTS (
  SELECT 1 FROM systems WHERE typeof(created_at) <> 'integer' OR typeof(updated_at) <> 'integer'
) THEN 1 ELSE json_extract('{}', 'a time in systems is not an integer') END;

SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM systems GROUP BY system_number HAVING count(*) > 1) THEN 1
  ELSE json_extract('{}', 'two systems have the same number') END;


-- Data that an earlier rollback kept because the old schema cannot express it. Empty the first time.

CREATE TABLE IF NOT EXISTS _orchestrate_kept_systems_undone (
  id INTEGER, system_number TEXT, owner_clerk_user_id TEXT, vendor_type TEXT, vendor_site_id TEXT
);

CREATE TABLE IF NOT EXISTS _orchestrate_kept_user_systems (
  id INTEGER, clerk_user_id TEXT, system_id INTEGER, role TEXT, created_at INTEGER, updated_at INTEGER
);

CREATE TABLE IF NOT EXISTS _orchestrate_kept_sequence (name TEXT, seq INTEGER);

-- A number like enphase:648 means a system of another vendor only if the record of the rollback that wrote it exists.
SELECT CASE WHEN NOT EXISTS (
  SELECT 1 FROM systems AS s
  LEFT JOIN _orchestrate_kept_systems_undone AS u ON u.id = s.id AND u.vendor_type <> 'select.live'
  WHERE iif(u.id IS NULL, s.system_number LIKE '%:%', s.system_number <> u.system_number)
) THEN 1
  ELSE json_extract('{}', 'the number of a system of another vendor was changed, or its vendor is not known') END;


-- The current state, which rollback.sql needs.

CREATE TABLE _orchestrate_kept_systems_before AS SELECT * FROM systems;

CREATE TABLE _orchestrate_kept_sequence_before AS SELECT name, seq FROM sqlite_sequence WHERE name = 'systems';


-- systems: the columns, the values and the indexes that the new code expects.

DROP TABLE systems;

CREATE TABLE systems (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  owner_clerk_user_id TEXT,
  vendor_type TEXT NOT NULL,
  vendor_site_id TEXT NOT NULL,
  display_name TEXT NOT NULL,
  model TEXT,
  serial TEXT,
  ratings TEXT,
  solar_size TEXT,
  battery_size TEXT,
  timezone_offset_min INTEGER NOT NULL DEFAULT 600,
  created_at INTEGER NOT NULL DEFAULT (unixepoch()),
  updated_at INTEGER NOT NULL DEFAULT (unixepoch())
);

INSERT INTO systems (
  id, owner_clerk_user_id, vendor_type, vendor_site_id, display_name,
  model, serial, ratings, solar_size, battery_size, timezone_offset_min, created_at, updated_at
)
SELECT
  b.id,
  b.owner_clerk_user_id,
  coalesce(u.vendor_type, 'select.live'),
  coalesce(u.vendor_site_id, b.system_number),
  coalesce(b.display_name, 'System ' || coalesce(u.vendor_site_id, b.system_number)),
  b.model, b.serial, b.ratings, b.solar_size, b.battery_size,
  CAST(round(b.timezone_offset * 60) AS INTEGER),
  b.created_at, b.updated_at
FROM _orchestrate_kept_systems_before AS b
LEFT JOIN _orchestrate_kept_systems_undone AS u ON u.id = b.id AND u.vendor_type <> 'select.live';

-- The highest id ever used, not the highest that is left: the id of a deleted system is never used again.
DELETE FROM sqlite_sequence WHERE name = 'systems';

INSERT INTO sqlite_sequence (name, seq) SELECT name, seq FROM _orchestrate_kept_sequence_before;

CREATE UNIQUE INDEX vendor_site_unique ON systems (vendor_type, vendor_site_id);

CREATE INDEX owner_clerk_user_idx ON systems (owner_clerk_user_id);

-- A later rollback compares the live table with this copy to see what was written since.
CREATE TABLE _orchestrate_kept_systems_after AS SELECT * FROM systems;


-- user_systems: who may see which system. First the rows saved by an earlier rollback, then every new owner.

CREATE TABLE user_systems (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  clerk_user_id TEXT NOT NULL,
  system_id INTEGER NOT NULL REFERENCES systems(id) ON DELETE CASCADE,
  role TEXT NOT NULL DEFAULT 'viewer',
  created_at INTEGER NOT NULL DEFAULT (unixepoch()),
  updated_at INTEGER NOT NULL DEFAULT (unixepoch())
);

CREATE UNIQUE INDEX user_system_unique ON user_systems (clerk_user_id, system_id);

CREATE INDEX user_systems_user_idx ON user_systems (clerk_user_id);

CREATE INDEX user_systems_system_idx ON user_systems (system_id);

INSERT INTO user_systems (id, clerk_user_id, system_id, role, created_at, updated_at)
SELECT id, clerk_user_id, system_id, role, created_at, updated_at FROM _orchestrate_kept_user_systems
WHERE system_id IN (SELECT id FROM systems);

DELETE FROM sqlite_sequence WHERE name = 'user_systems';

INSERT INTO sqlite_sequence (name, seq) SELECT name, seq FROM _orchestrate_kept_sequence WHERE name = 'user_systems';

-- An owner who was no longer in user_systems at that rollback was removed on purpose, and is not added again.
CREATE TABLE _orchestrate_kept_ownerless AS
SELECT s.id FROM systems AS s
JOIN _orchestrate_kept_systems_undone AS u ON u.id = s.id AND u.owner_clerk_user_id = s.owner_clerk_user_id
WHERE NOT EXISTS (
  SELECT 1 FROM user_systems AS m
  WHERE m.system_id = s.id AND m.clerk_user_id = s.owner_clerk_user_id AND m.role = 'owner'
);

INSERT INTO user_systems (clerk_user_id, system_id, role)
SELECT s.owner_clerk_user_id, s.id, 'owner' FROM systems AS s
WHERE s.owner_clerk_user_id IS NOT NULL
  AND s.id NOT IN (SELECT id FROM _orchestrate_kept_ownerless)
  AND NOT EXISTS (
    SELECT 1 FROM user_systems AS m
    WHERE m.system_id = s.id AND m.clerk_user_id = s.owner_clerk_user_id AND m.role = 'owner'
  )
ORDER BY s.id
ON CONFLICT (clerk_user_id, system_id) DO UPDATE SET role = 'owner', updated_at = unixepoch();


-- Assertions on values. verify.sql checks what must also hold while the app writes.

SELECT CASE WHEN (SELECT count(*) FROM systems) = (SELECT count(*) FROM _orchestrate_kept_systems_before)
  AND NOT EXISTS (
    SELECT id, owner_clerk_user_id, model, serial, ratings, solar_size, battery_size, created_at, updated_at
    FROM _orchestrate_kept_systems_before
    EXCEPT
    SELECT id, owner_clerk_user_id, model, serial, ratings, solar_size, battery_size, created_at, updated_at
    FROM systems
  ) THEN 1 ELSE json_extract('{}', 'a system was lost, or a value that this change leaves alone is another one') END;

SELECT CASE WHEN NOT EXISTS (
  SELECT 1 FROM _orchestrate_kept_systems_before AS b JOIN systems AS s ON s.id = b.id
  WHERE abs(s.timezone_offset_min / 60.0 - b.timezone_offset) > 0.000001
    OR s.display_name <> b.display_name
    OR b.system_number NOT IN (s.vendor_site_id, s.vendor_type || ':' || s.vendor_site_id)
) THEN 1 ELSE json_extract('{}', 'a zone, a name or a number was not carried over') END;

SELECT CASE WHEN (SELECT seq FROM sqlite_sequence WHERE name = 'systems')
  IS (SELECT seq FROM _orchestrate_kept_sequence_before) THEN 1
  ELSE json_extract('{}', 'the highest id of systems is another one') END;


-- No longer needed.

DROP TABLE _orchestrate_kept_sequence_before;

DROP TABLE _orchestrate_kept_systems_undone;

DROP TABLE _orchestrate_kept_user_systems;

DROP TABLE _orchestrate_kept_sequence;
