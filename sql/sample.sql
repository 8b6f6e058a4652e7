-- A small database with the schema before the change, for rehearsals without a copy of the real one. Names, numbers and
-- owners are made up. Times end at the moment it is loaded, so that it looks like a site that is being polled.


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
);

-- Two columns were added later, as in production: they are last in the table and in its definition.
ALTER TABLE systems ADD COLUMN timezone_offset INTEGER NOT NULL DEFAULT 10;

ALTER TABLE systems ADD COLUMN owner_clerk_user_id TEXT;

CREATE INDEX user_system_idx ON systems (user_id, system_number);

CREATE TABLE readings (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  system_id INTEGER NOT NULL REFERENCES systems(id) ON DELETE CASCADE,
  inverter_time INTEGER NOT NULL,
  received_time INTEGER NOT NULL,
  delay_seconds INTEGER,
  solar_w INTEGER NOT NULL,
  solar_inverter_w INTEGER NOT NULL,
  shunt_w INTEGER NOT NULL,
  load_w INTEGER NOT NULL,
  battery_w INTEGER NOT NULL,
  grid_w INTEGER NOT NULL,
  battery_soc REAL NOT NULL,
  fault_code INTEGER NOT NULL,
  fault_timestamp INTEGER NOT NULL,
  generator_status INTEGER NOT NULL,
  solar_kwh_total REAL,
  load_kwh_total REAL,
  battery_in_kwh_total REAL,
  battery_out_kwh_total REAL,
  grid_in_kwh_total REAL,
  grid_out_kwh_total REAL,
  created_at INTEGER NOT NULL DEFAULT (unixepoch())
);

CREATE UNIQUE INDEX readings_system_inverter_time_unique ON readings (system_id, inverter_time);

CREATE INDEX system_inverter_time_idx ON readings (system_id, inverter_time);

CREATE INDEX inverter_time_idx ON readings (inverter_time);

CREATE INDEX received_time_idx ON readings (received_time);

CREATE TABLE polling_status (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  system_id INTEGER NOT NULL REFERENCES systems(id) ON DELETE CASCADE,
  last_poll_time INTEGER,
  last_success_time INTEGER,
  last_error_time INTEGER,
  last_error TEXT,
  last_response TEXT,
  consecutive_errors INTEGER NOT NULL DEFAULT 0,
  is_active INTEGER NOT NULL DEFAULT 1,
  total_polls INTEGER NOT NULL DEFAULT 0,
  successful_polls INTEGER NOT NULL DEFAULT 0,
  updated_at INTEGER NOT NULL DEFAULT (unixepoch())
);

CREATE INDEX polling_system_idx ON polling_status (system_id);

CREATE UNIQUE INDEX polling_status_system_id_unique ON polling_status (system_id);

CREATE TABLE readings_agg_5m (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  system_id INTEGER NOT NULL,
  interval_end INTEGER NOT NULL,
  solar_w_avg INTEGER,
  solar_w_min INTEGER,
  solar_w_max INTEGER,
  load_w_avg INTEGER,
  load_w_min INTEGER,
  load_w_max INTEGER,
  battery_w_avg INTEGER,
  battery_w_min INTEGER,
  battery_w_max INTEGER,
  grid_w_avg INTEGER,
  grid_w_min INTEGER,
  grid_w_max INTEGER,
  battery_soc_last REAL,
  solar_kwh_total_last REAL,
  load_kwh_total_last REAL,
  battery_in_kwh_total_last REAL,
  battery_out_kwh_total_last REAL,
  grid_in_kwh_total_last REAL,
  grid_out_kwh_total_last REAL,
  sample_count INTEGER NOT NULL,
  created_at INTEGER NOT NULL
);

CREATE UNIQUE INDEX readings_agg_5m_system_interval_idx ON readings_agg_5m (system_id, interval_end);

CREATE INDEX readings_agg_5m_system_id_idx ON readings_agg_5m (system_id);

CREATE INDEX readings_agg_5m_interval_end_idx ON readings_agg_5m (interval_end);

CREATE TABLE readings_agg_1d (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  system_id TEXT NOT NULL,
  day TEXT NOT NULL,
  created_at INTEGER NOT NULL DEFAULT (unixepoch()),
  updated_at INTEGER NOT NULL DEFAULT (unixepoch()),
  solar_kwh REAL,
  load_kwh REAL,
  battery_charge_kwh REAL,
  battery_discharge_kwh REAL,
  grid_import_kwh REAL,
  grid_export_kwh REAL,
  solar_w_min INTEGER,
  solar_w_avg INTEGER,
  solar_w_max INTEGER,
  load_w_min INTEGER,
  load_w_avg INTEGER,
  load_w_max INTEGER,
  battery_w_min INTEGER,
  battery_w_avg INTEGER,
  battery_w_max INTEGER,
  grid_w_min INTEGER,
  grid_w_avg INTEGER,
  grid_w_max INTEGER,
  battery_soc_max REAL,
  battery_soc_min REAL,
  battery_soc_avg REAL,
  battery_soc_end REAL,
  solar_alltime_kwh REAL,
  load_alltime_kwh REAL,
  battery_charge_alltime_kwh REAL,
  battery_discharge_alltime_kwh REAL,
  grid_import_alltime_kwh REAL,
  grid_export_alltime_kwh REAL,
  interval_count INTEGER NOT NULL DEFAULT 0,
  sample_count INTEGER NOT NULL DEFAULT 0,
  version INTEGER DEFAULT 1
);

CREATE UNIQUE INDEX idx_readings_agg_1d_system_day ON readings_agg_1d (system_id, day);

CREATE INDEX idx_readings_agg_1d_day ON readings_agg_1d (day);

CREATE INDEX idx_readings_agg_1d_updated ON readings_agg_1d (updated_at);


-- Systems: whole, half and quarter hours on both sides of UTC, with and without names, one without an owner, two with
-- the same owner, one no longer polled, a gap in the ids; the system with the highest id is deleted further down.
INSERT INTO systems (
  id, user_id, system_number, display_name, model, serial, ratings, solar_size, battery_size,
  created_at, updated_at, timezone_offset, owner_clerk_user_id
) VALUES
  (1, 'first', '1001', NULL, 'SP PRO', 'S-1', '7.5kW, 48V', '9 kW', '10 kWh', 1754000000, 1755000000, 10, 'user_one'),
  (2, 'second', '1002', 'Shed', NULL, NULL, NULL, NULL, NULL, 1754000100, 1755000100, 9.5, 'user_two'),
  (4, 'fourth', '0648', 'Farm', 'SP PRO', 'S-4', '5kW, 24V', '6 kW', NULL, 1754000200, 1754000200, 5.5, 'user_four'),
  (5, 'fifth', '1005', NULL, NULL, NULL, NULL, NULL, '5 kWh', 1754000300, 1755000300, 5.75, NULL),
  (6, 'first', '1006', 'Lodge', 'SP PRO', NULL, NULL, '3 kW', '5 kWh', 1754000400, 1755000400, -3.5, 'user_one'),
  (7, 'seventh', '1007', 'Old mill', NULL, NULL, NULL, NULL, NULL, 1754000500, 1755000500, 0, 'user_seven'),
  (9, 'ninth', '1009', 'Gone', NULL, NULL, NULL, NULL, NULL, 1754000600, 1755000600, 10, 'user_nine');


-- Readings, one a minute: fourteen days of system 1, six hours of the others. Solar power is a triangle around local
-- noon, and the battery takes what the house does not use.
INSERT INTO readings (
  system_id, inverter_time, received_time, delay_seconds,
  solar_w, solar_inverter_w, shunt_w, load_w, battery_w, grid_w, battery_soc,
  fault_code, fault_timestamp, generator_status,
  solar_kwh_total, load_kwh_total, battery_in_kwh_total, battery_out_kwh_total, grid_in_kwh_total, grid_out_kwh_total,
  created_at
)
WITH RECURSIVE
  minute (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM minute WHERE n < 20159),
  moment AS (
    SELECT
      s.id AS system_id, n, unixepoch() - 20 - 60 * n AS time,
      CAST(unixepoch() - 20 - 60 * n + 3600 * s.timezone_offset AS INTEGER) % 86400 AS second_of_day,
      400 + n * 37 % 300 AS load
    FROM minute JOIN systems AS s ON n < iif(s.id = 1, 20160, 360)
    WHERE s.id <> 9
  ),
  sunlit AS (SELECT *, max(0, 3000 - abs(second_of_day - 43200) / 7) AS solar FROM moment)
SELECT
  system_id, time, time + 3, 3,
  solar, solar * 3 / 4, solar - solar * 3 / 4, load, load - solar, 0, 50.0 + n % 400 / 10.0,
  0, 0, 0,
  round(9000 - n * 0.012, 3), round(8000 - n * 0.009, 3), round(4000 - n * 0.006, 3), round(3500 - n * 0.005, 3),
  round(120 - n * 0.001, 3), round(60 - n * 0.001, 3),
  time + 3
FROM sunlit ORDER BY time, system_id;

INSERT INTO polling_status (
  system_id, last_poll_time, last_success_time, last_error_time, last_error, last_response,
  consecutive_errors, is_active, total_polls, successful_polls, updated_at
)
SELECT
  s.id, unixepoch() - 17, unixepoch() - 17, iif(s.id = 2, unixepoch() - 90000, NULL), iif(s.id = 2, 'timeout', NULL),
  '{"item_count":21,"now":' || (unixepoch() - 20) || '}',
  0, s.id <> 7, 20160, iif(s.id = 2, 20159, 20160), unixepoch() - 17
FROM systems AS s;

INSERT INTO readings_agg_5m (
  system_id, interval_end,
  solar_w_avg, solar_w_min, solar_w_max, load_w_avg, load_w_min, load_w_max,
  battery_w_avg, battery_w_min, battery_w_max, grid_w_avg, grid_w_min, grid_w_max,
  battery_soc_last, solar_kwh_total_last, load_kwh_total_last,
  battery_in_kwh_total_last, battery_out_kwh_total_last, grid_in_kwh_total_last, grid_out_kwh_total_last,
  sample_count, created_at
)
SELECT
  a.system_id, a.interval_end,
  a.solar_avg, a.solar_min, a.solar_max, a.load_avg, a.load_min, a.load_max,
  a.battery_avg, a.battery_min, a.battery_max, 0, 0, 0,
  r.battery_soc, r.solar_kwh_total, r.load_kwh_total,
  r.battery_in_kwh_total, r.battery_out_kwh_total, r.grid_in_kwh_total, r.grid_out_kwh_total,
  a.samples, a.interval_end
FROM (
  SELECT
    system_id, (inverter_time + 299) / 300 * 300 AS interval_end, max(inverter_time) AS last, count(*) AS samples,
    CAST(round(avg(solar_w)) AS INTEGER) AS solar_avg, min(solar_w) AS solar_min, max(solar_w) AS solar_max,
    CAST(round(avg(load_w)) AS INTEGER) AS load_avg, min(load_w) AS load_min, max(load_w) AS load_max,
    CAST(round(avg(battery_w)) AS INTEGER) AS battery_avg, min(battery_w) AS battery_min, max(battery_w) AS battery_max
  FROM readings GROUP BY 1, 2
) AS a
JOIN readings AS r ON r.system_id = a.system_id AND r.inverter_time = a.last
ORDER BY a.interval_end, a.system_id;

INSERT INTO readings_agg_1d (
  system_id, day, created_at, updated_at,
  solar_kwh, load_kwh, battery_charge_kwh, battery_discharge_kwh, grid_import_kwh, grid_export_kwh,
  solar_w_min, solar_w_avg, solar_w_max, load_w_min, load_w_avg, load_w_max,
  battery_w_min, battery_w_avg, battery_w_max, grid_w_min, grid_w_avg, grid_w_max,
  battery_soc_max, battery_soc_min, battery_soc_avg, battery_soc_end,
  solar_alltime_kwh, load_alltime_kwh, battery_charge_alltime_kwh, battery_discharge_alltime_kwh,
  grid_import_alltime_kwh, grid_export_alltime_kwh,
  interval_count, sample_count
)
SELECT
  a.system_id, date(a.interval_end - 1 + 3600 * s.timezone_offset, 'unixepoch') AS day,
  max(a.interval_end), max(a.interval_end),
  round(sum(a.solar_w_avg) / 12000.0, 3), round(sum(a.load_w_avg) / 12000.0, 3),
  round(-sum(min(a.battery_w_avg, 0)) / 12000.0, 3), round(sum(max(a.battery_w_avg, 0)) / 12000.0, 3), 0.0, 0.0,
  min(a.solar_w_min), CAST(round(avg(a.solar_w_avg)) AS INTEGER), max(a.solar_w_max),
  min(a.load_w_min), CAST(round(avg(a.load_w_avg)) AS INTEGER), max(a.load_w_max),
  min(a.battery_w_min), CAST(round(avg(a.battery_w_avg)) AS INTEGER), max(a.battery_w_max), 0, 0, 0,
  max(a.battery_soc_last), min(a.battery_soc_last), round(avg(a.battery_soc_last), 1), 50.0,
  max(a.solar_kwh_total_last), max(a.load_kwh_total_last),
  max(a.battery_in_kwh_total_last), max(a.battery_out_kwh_total_last),
  max(a.grid_in_kwh_total_last), max(a.grid_out_kwh_total_last),
  count(*), sum(a.sample_count)
FROM readings_agg_5m AS a JOIN systems AS s ON s.id = a.system_id
GROUP BY a.system_id, day ORDER BY day, a.system_id;

-- Tables without a foreign key keep the rows of a deleted system.
INSERT INTO readings_agg_1d (system_id, day, solar_kwh, interval_count, sample_count)
VALUES ('9', date('now', '-20 days'), 12.5, 288, 1440);

DELETE FROM polling_status WHERE system_id = 9;

DELETE FROM systems WHERE id = 9;
