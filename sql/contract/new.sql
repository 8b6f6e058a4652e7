-- What the code about to go live sends to the database. It reads either schema: where a statement differs it tries the
-- new one first, and the old one when that fails, so it can serve before the migration and after a rollback.
--
-- Where the app has the id of a system, here stands the first that is polled.


-- GET /api/data: the system, who may see it, its newest reading, its polling, its yesterday.

-- either
SELECT
  id, owner_clerk_user_id, vendor_type, vendor_site_id, display_name, model, serial, ratings, solar_size, battery_size,
  timezone_offset_min, created_at, updated_at
FROM systems
WHERE id NOT IN (SELECT system_id FROM polling_status WHERE is_active = 0)
ORDER BY id LIMIT 1;

-- or
SELECT
  id, user_id, system_number, display_name, model, serial, ratings, solar_size, battery_size,
  created_at, updated_at, timezone_offset, owner_clerk_user_id
FROM systems
WHERE id NOT IN (SELECT system_id FROM polling_status WHERE is_active = 0)
ORDER BY id LIMIT 1;

-- end

-- either
SELECT id, clerk_user_id, system_id, role, created_at, updated_at FROM user_systems
WHERE system_id = (
  SELECT min(id) FROM systems WHERE id NOT IN (SELECT system_id FROM polling_status WHERE is_active = 0)
);

-- or
SELECT id AS system_id, owner_clerk_user_id AS clerk_user_id, 'owner' AS role FROM systems
WHERE id = (
  SELECT min(id) FROM systems WHERE id NOT IN (SELECT system_id FROM polling_status WHERE is_active = 0)
);

-- end

SELECT
  id, system_id, inverter_time, received_time, delay_seconds,
  solar_w, solar_inverter_w, shunt_w, load_w, battery_w, grid_w, battery_soc,
  fault_code, fault_timestamp, generator_status,
  solar_kwh_total, load_kwh_total, battery_in_kwh_total, battery_out_kwh_total, grid_in_kwh_total, grid_out_kwh_total,
  created_at
FROM readings
WHERE system_id = (
  SELECT min(id) FROM systems WHERE id NOT IN (SELECT system_id FROM polling_status WHERE is_active = 0)
)
ORDER BY inverter_time DESC LIMIT 1;

SELECT
  id, system_id, last_poll_time, last_success_time, last_error_time, last_error, last_response,
  consecutive_errors, is_active, total_polls, successful_polls, updated_at
FROM polling_status
WHERE system_id = (
  SELECT min(id) FROM systems WHERE id NOT IN (SELECT system_id FROM polling_status WHERE is_active = 0)
)
LIMIT 1;

-- either
SELECT
  id, system_id, day, created_at, updated_at,
  solar_kwh, load_kwh, battery_charge_kwh, battery_discharge_kwh, grid_import_kwh, grid_export_kwh,
  solar_w_min, solar_w_avg, solar_w_max, load_w_min, load_w_avg, load_w_max,
  battery_w_min, battery_w_avg, battery_w_max, grid_w_min, grid_w_avg, grid_w_max,
  battery_soc_max, battery_soc_min, battery_soc_avg, battery_soc_end,
  solar_alltime_kwh, load_alltime_kwh, battery_charge_alltime_kwh, battery_discharge_alltime_kwh,
  grid_import_alltime_kwh, grid_export_alltime_kwh,
  interval_count, sample_count, version
FROM readings_agg_1d
WHERE (system_id, day) = (
  SELECT CAST(id AS TEXT), date(unixepoch() + 60 * timezone_offset_min, 'unixepoch', '-1 day') FROM systems
  WHERE id NOT IN (SELECT system_id FROM polling_status WHERE is_active = 0)
  ORDER BY id LIMIT 1
);

-- or
SELECT
  id, system_id, day, created_at, updated_at,
  solar_kwh, load_kwh, battery_charge_kwh, battery_discharge_kwh, grid_import_kwh, grid_export_kwh,
  solar_w_min, solar_w_avg, solar_w_max, load_w_min, load_w_avg, load_w_max,
  battery_w_min, battery_w_avg, battery_w_max, grid_w_min, grid_w_avg, grid_w_max,
  battery_soc_max, battery_soc_min, battery_soc_avg, battery_soc_end,
  solar_alltime_kwh, load_alltime_kwh, battery_charge_alltime_kwh, battery_discharge_alltime_kwh,
  grid_import_alltime_kwh, grid_export_alltime_kwh,
  interval_count, sample_count, version
FROM readings_agg_1d
WHERE (system_id, day) = (
  SELECT CAST(id AS TEXT), date(unixepoch() + 3600 * timezone_offset, 'unixepoch', '-1 day') FROM systems
  WHERE id NOT IN (SELECT system_id FROM polling_status WHERE is_active = 0)
  ORDER BY id LIMIT 1
);

-- end


-- GET /api/cron/minutely: the systems to poll, then what a poll writes.

-- either
SELECT
  id, owner_clerk_user_id, vendor_type, vendor_site_id, display_name, model, serial, ratings, solar_size, battery_size,
  timezone_offset_min, created_at, updated_at
FROM systems
WHERE id NOT IN (SELECT system_id FROM polling_status WHERE is_active = 0)
ORDER BY id;

-- or
SELECT
  id, user_id, system_number, display_name, model, serial, ratings, solar_size, battery_size,
  created_at, updated_at, timezone_offset, owner_clerk_user_id
FROM systems
WHERE id NOT IN (SELECT system_id FROM polling_status WHERE is_active = 0)
ORDER BY id;

-- end

-- One row a system and minute. A second run within the same second meets the UNIQUE index, as the app does.
INSERT INTO readings (
  system_id, inverter_time, received_time, delay_seconds,
  solar_w, solar_inverter_w, shunt_w, load_w, battery_w, grid_w, battery_soc,
  fault_code, fault_timestamp, generator_status,
  solar_kwh_total, load_kwh_total, battery_in_kwh_total, battery_out_kwh_total, grid_in_kwh_total, grid_out_kwh_total
)
SELECT
  id, unixepoch(), unixepoch(), 0,
  2100, 1500, 600, 900, -1200, 0, 81.5,
  0, 0, 0,
  9000.125, 8000.25, 4000.5, 3500.5, 120.0, 60.0
FROM systems
WHERE id NOT IN (SELECT system_id FROM polling_status WHERE is_active = 0);

INSERT INTO readings_agg_5m (
  system_id, interval_end,
  solar_w_avg, solar_w_min, solar_w_max, load_w_avg, load_w_min, load_w_max,
  battery_w_avg, battery_w_min, battery_w_max, grid_w_avg, grid_w_min, grid_w_max,
  battery_soc_last, solar_kwh_total_last, load_kwh_total_last,
  battery_in_kwh_total_last, battery_out_kwh_total_last, grid_in_kwh_total_last, grid_out_kwh_total_last,
  sample_count, created_at
)
SELECT
  system_id, (unixepoch() + 299) / 300 * 300,
  CAST(avg(solar_w) AS INTEGER), min(solar_w), max(solar_w), CAST(avg(load_w) AS INTEGER), min(load_w), max(load_w),
  CAST(avg(battery_w) AS INTEGER), min(battery_w), max(battery_w),
  CAST(avg(grid_w) AS INTEGER), min(grid_w), max(grid_w),
  (SELECT battery_soc FROM readings AS last WHERE last.system_id = r.system_id ORDER BY inverter_time DESC LIMIT 1),
  max(solar_kwh_total), max(load_kwh_total),
  max(battery_in_kwh_total), max(battery_out_kwh_total), max(grid_in_kwh_total), max(grid_out_kwh_total),
  count(*), unixepoch()
FROM readings AS r
WHERE inverter_time > (unixepoch() + 299) / 300 * 300 - 300 AND inverter_time <= (unixepoch() + 299) / 300 * 300
GROUP BY system_id
ON CONFLICT (system_id, interval_end) DO UPDATE SET
  solar_w_avg = excluded.solar_w_avg, solar_w_min = excluded.solar_w_min, solar_w_max = excluded.solar_w_max,
  load_w_avg = excluded.load_w_avg, load_w_min = excluded.load_w_min, load_w_max = excluded.load_w_max,
  battery_w_avg = excluded.battery_w_avg, battery_w_min = excluded.battery_w_min,
  battery_w_max = excluded.battery_w_max,
  grid_w_avg = excluded.grid_w_avg, grid_w_min = excluded.grid_w_min, grid_w_max = excluded.grid_w_max,
  battery_soc_last = excluded.battery_soc_last,
  solar_kwh_total_last = excluded.solar_kwh_total_last, load_kwh_total_last = excluded.load_kwh_total_last,
  battery_in_kwh_total_last = excluded.battery_in_kwh_total_last,
  battery_out_kwh_total_last = excluded.battery_out_kwh_total_last,
  grid_in_kwh_total_last = excluded.grid_in_kwh_total_last, grid_out_kwh_total_last = excluded.grid_out_kwh_total_last,
  sample_count = excluded.sample_count, created_at = excluded.created_at;

INSERT INTO polling_status (
  system_id, last_poll_time, last_success_time, last_response, consecutive_errors, total_polls, successful_polls
)
SELECT id, unixepoch(), unixepoch(), '{"item_count":21}', 0, 1, 1 FROM systems
WHERE id NOT IN (SELECT system_id FROM polling_status WHERE is_active = 0)
ON CONFLICT (system_id) DO UPDATE SET
  last_poll_time = excluded.last_poll_time, last_success_time = excluded.last_success_time,
  last_response = excluded.last_response, consecutive_errors = 0, last_error = NULL,
  total_polls = total_polls + 1, successful_polls = successful_polls + 1, updated_at = unixepoch();
