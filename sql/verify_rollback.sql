-- Checks of the database after the rollback: run inside the transaction of rollback.sql and again after it. They use
-- nothing that the tool keeps, so they also hold on a database that was never migrated. They do not check values: what
-- bad code wrote may be the reason for the rollback, and must not block it.


-- check: the new tables are gone
SELECT name FROM sqlite_schema WHERE name = 'user_systems';

-- If there are no readings, there need be no systems.
-- check: systems
-- expect: rows
SELECT id, system_number, timezone_offset FROM systems
UNION ALL
SELECT 0, 'no system', 0 WHERE NOT EXISTS (SELECT 1 FROM systems) AND NOT EXISTS (SELECT 1 FROM readings)
LIMIT 5;

-- Old code looks up a system by its number: a duplicate would show one owner the data of another.
-- check: one system per number
SELECT system_number, count(*) AS systems FROM systems GROUP BY system_number HAVING count(*) > 1;

-- check: columns
WITH expected (cid, name, type, required, fallback) AS (
  VALUES
    (0, 'id', 'INTEGER', 0, NULL),
    (1, 'user_id', 'TEXT', 1, NULL),
    (2, 'system_number', 'TEXT', 1, NULL),
    (3, 'display_name', 'TEXT', 0, NULL),
    (4, 'model', 'TEXT', 0, NULL),
    (5, 'serial', 'TEXT', 0, NULL),
    (6, 'ratings', 'TEXT', 0, NULL),
    (7, 'solar_size', 'TEXT', 0, NULL),
    (8, 'battery_size', 'TEXT', 0, NULL),
    (9, 'created_at', 'INTEGER', 1, 'unixepoch()'),
    (10, 'updated_at', 'INTEGER', 1, 'unixepoch()'),
    (11, 'timezone_offset', 'INTEGER', 1, '10'),
    (12, 'owner_clerk_user_id', 'TEXT', 0, NULL)
),
live (cid, name, type, required, fallback) AS (
  SELECT cid, name, upper(type), iif(pk, 0, "notnull"), lower(dflt_value) FROM pragma_table_xinfo('systems')
)
SELECT 'missing' AS what, * FROM (SELECT * FROM expected EXCEPT SELECT * FROM live)
UNION ALL
SELECT 'unexpected', * FROM (SELECT * FROM live EXCEPT SELECT * FROM expected);

-- check: indexes
SELECT 'user_system_idx (user_id, system_number)' AS missing
WHERE NOT EXISTS (
  SELECT 1 FROM pragma_index_list('systems') AS i
  WHERE i.name = 'user_system_idx'
    AND (SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno))
      = 'user_id, system_number'
);

-- check: children reference systems
SELECT child FROM (SELECT 'readings' AS child UNION ALL SELECT 'polling_status')
WHERE child NOT IN (
  SELECT m.name FROM sqlite_schema AS m, pragma_foreign_key_list(m.name) AS f
  WHERE m.type = 'table' AND f."table" = 'systems' AND f."from" = 'system_id' AND f.on_delete = 'CASCADE'
);

-- Systems that only the new schema can express: represented by a number until the next migration.
-- check: systems of other vendors, kept for the next migration
-- expect: any
SELECT id, vendor_type, vendor_site_id FROM _orchestrate_kept_systems_undone WHERE vendor_type <> 'select.live' ORDER BY id;
