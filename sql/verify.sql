-- Checks of the migrated database: run inside the transaction, where a failure prevents COMMIT, and again after it. The
-- first must return rows, the others none. All of them hold while the app keeps reading and writing.
--
-- _orchestrate_kept_systems_before is systems as migrate.sql found it; it exists until acceptance or rollback.


-- If there were no systems before, there need be none now.
-- check: systems
-- expect: rows
SELECT id, vendor_type, vendor_site_id, timezone_offset_min FROM systems
UNION ALL
SELECT 0, 'no system before', 'no system now', 0 WHERE NOT EXISTS (SELECT 1 FROM _orchestrate_kept_systems_before)
LIMIT 5;

-- check: no system lost
SELECT id FROM _orchestrate_kept_systems_before WHERE id NOT IN (SELECT id FROM systems);

-- check: no value missing
SELECT id, vendor_type, vendor_site_id, display_name FROM systems
WHERE coalesce(vendor_type, '') = '' OR coalesce(vendor_site_id, '') = '' OR display_name IS NULL;

-- check: one system per site
SELECT vendor_type, vendor_site_id, count(*) AS systems FROM systems
GROUP BY vendor_type, vendor_site_id HAVING count(*) > 1;

-- check: zones in whole minutes
SELECT id, timezone_offset_min FROM systems
WHERE typeof(timezone_offset_min) <> 'integer' OR timezone_offset_min NOT BETWEEN -12 * 60 AND 14 * 60;

-- The code multiplies times by 1000: text becomes an invalid date, and the page fails.
-- check: times are integers
SELECT 'systems' AS place, id, created_at, updated_at FROM systems
WHERE typeof(created_at) <> 'integer' OR typeof(updated_at) <> 'integer'
UNION ALL
SELECT 'user_systems', id, created_at, updated_at FROM user_systems
WHERE typeof(created_at) <> 'integer' OR typeof(updated_at) <> 'integer';

-- check: columns
WITH expected (place, name, type, required, fallback) AS (
  VALUES
    ('systems', 'id', 'INTEGER', 0, NULL),
    ('systems', 'owner_clerk_user_id', 'TEXT', 0, NULL),
    ('systems', 'vendor_type', 'TEXT', 1, NULL),
    ('systems', 'vendor_site_id', 'TEXT', 1, NULL),
    ('systems', 'display_name', 'TEXT', 1, NULL),
    ('systems', 'model', 'TEXT', 0, NULL),
    ('systems', 'serial', 'TEXT', 0, NULL),
    ('systems', 'ratings', 'TEXT', 0, NULL),
    ('systems', 'solar_size', 'TEXT', 0, NULL),
    ('systems', 'battery_size', 'TEXT', 0, NULL),
    ('systems', 'timezone_offset_min', 'INTEGER', 1, '600'),
    ('systems', 'created_at', 'INTEGER', 1, 'unixepoch()'),
    ('systems', 'updated_at', 'INTEGER', 1, 'unixepoch()'),
    ('user_systems', 'id', 'INTEGER', 0, NULL),
    ('user_systems', 'clerk_user_id', 'TEXT', 1, NULL),
    ('user_systems', 'system_id', 'INTEGER', 1, NULL),
    ('user_systems', 'role', 'TEXT', 1, '''viewer'''),
    ('user_systems', 'created_at', 'INTEGER', 1, 'unixepoch()'),
    ('user_systems', 'updated_at', 'INTEGER', 1, 'unixepoch()')
),
live (place, name, type, required, fallback) AS (
  SELECT m.name, c.name, c.type, c."notnull", c.dflt_value
  FROM sqlite_schema AS m, pragma_table_xinfo(m.name) AS c
  WHERE m.type = 'table' AND m.name IN ('systems', 'user_systems')
)
SELECT 'missing' AS what, * FROM (SELECT * FROM expected EXCEPT SELECT * FROM live)
UNION ALL
SELECT 'unexpected', * FROM (SELECT * FROM live EXCEPT SELECT * FROM expected);

-- check: indexes
WITH expected (place, name, is_unique, is_partial, columns) AS (
  VALUES
    ('systems', 'vendor_site_unique', 1, 0, 'vendor_type, vendor_site_id'),
    ('systems', 'owner_clerk_user_idx', 0, 0, 'owner_clerk_user_id'),
    ('user_systems', 'user_system_unique', 1, 0, 'clerk_user_id, system_id'),
    ('user_systems', 'user_systems_user_idx', 0, 0, 'clerk_user_id'),
    ('user_systems', 'user_systems_system_idx', 0, 0, 'system_id')
),
live (place, name, is_unique, is_partial, columns) AS (
  SELECT m.name, i.name, i."unique", i.partial,
    (SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno))
  FROM sqlite_schema AS m, pragma_index_list(m.name) AS i
  WHERE m.type = 'table' AND m.name IN ('systems', 'user_systems')
)
SELECT * FROM expected EXCEPT SELECT * FROM live;

-- A rename would have left the children referencing another parent, or none.
-- check: children reference systems
SELECT child FROM (SELECT 'readings' AS child UNION ALL SELECT 'polling_status' UNION ALL SELECT 'user_systems')
WHERE child NOT IN (
  SELECT m.name FROM sqlite_schema AS m, pragma_foreign_key_list(m.name) AS f
  WHERE m.type = 'table' AND f."table" = 'systems' AND f."from" = 'system_id' AND f.on_delete = 'CASCADE'
);

-- Rows that were already orphans were not caused by this change.
-- check: no orphan
WITH lost AS (SELECT id FROM _orchestrate_kept_systems_before WHERE id NOT IN (SELECT id FROM systems))
SELECT 'readings' AS child, id AS system FROM lost WHERE EXISTS (SELECT 1 FROM readings WHERE system_id = lost.id)
UNION ALL
SELECT 'polling_status', id FROM lost WHERE EXISTS (SELECT 1 FROM polling_status WHERE system_id = lost.id)
UNION ALL
SELECT 'readings_agg_5m', id FROM lost WHERE EXISTS (SELECT 1 FROM readings_agg_5m WHERE system_id = lost.id)
UNION ALL
SELECT 'readings_agg_1d', id FROM lost
WHERE EXISTS (SELECT 1 FROM readings_agg_1d WHERE system_id = CAST(lost.id AS TEXT))
UNION ALL
SELECT 'user_systems', system_id FROM user_systems WHERE system_id NOT IN (SELECT id FROM systems);

-- An owner without a row gets a 404 for their own system. An owner removed on purpose before an earlier rollback stays
-- removed.
-- check: every owned system has its owner
SELECT s.id FROM systems AS s
WHERE s.owner_clerk_user_id IS NOT NULL
  AND s.id IN (SELECT id FROM _orchestrate_kept_systems_before)
  AND s.id NOT IN (SELECT id FROM _orchestrate_kept_ownerless)
  AND NOT EXISTS (
    SELECT 1 FROM user_systems AS m
    WHERE m.system_id = s.id AND m.clerk_user_id = s.owner_clerk_user_id AND m.role = 'owner'
  );

-- check: known roles
SELECT id, role FROM user_systems WHERE role NOT IN ('owner', 'admin', 'viewer');
