-- What the app writes while the new schema is live. The rehearsal runs this between migrate.sql and rollback.sql, then
-- checks that all of it is still there.


-- A late reading for every system: its time is before the oldest one, because any other time may already be in use.
INSERT INTO readings (
  system_id, inverter_time, received_time, delay_seconds,
  solar_w, solar_inverter_w, shunt_w, load_w, battery_w, grid_w, battery_soc,
  fault_code, fault_timestamp, generator_status,
  solar_kwh_total, load_kwh_total, battery_in_kwh_total, battery_out_kwh_total, grid_in_kwh_total, grid_out_kwh_total
)
SELECT
  s.id, coalesce(oldest.time, unixepoch()) - 60, unixepoch(), 60,
  1800, 1200, 600, 700, -1100, 0, 64.5,
  0, 0, 0,
  9001.5, 8001.25, 4001.125, 3501.0, 120.0, 60.0
FROM systems AS s
LEFT JOIN (SELECT system_id, min(inverter_time) AS time FROM readings GROUP BY system_id) AS oldest
  ON oldest.system_id = s.id;

INSERT INTO polling_status (system_id, last_poll_time, last_success_time, total_polls, successful_polls)
SELECT id, unixepoch(), unixepoch(), 1, 1 FROM systems WHERE true
ON CONFLICT (system_id) DO UPDATE SET
  last_poll_time = excluded.last_poll_time, last_success_time = excluded.last_success_time, consecutive_errors = 0,
  total_polls = total_polls + 1, successful_polls = successful_polls + 1, updated_at = unixepoch();

-- Settings that change: a name, hardware details that a poll reports, a time zone with a half hour.
UPDATE systems SET display_name = 'Named in rehearsal', updated_at = unixepoch()
WHERE id = (SELECT min(id) FROM systems);

UPDATE systems SET model = 'Model 2', serial = 'S-2', updated_at = unixepoch()
WHERE id = (SELECT id FROM systems ORDER BY id LIMIT 1 OFFSET 1);

UPDATE systems SET timezone_offset_min = 570, updated_at = unixepoch()
WHERE id = (SELECT id FROM systems ORDER BY id LIMIT 1 OFFSET 2);

-- A system of the old vendor, and one of another vendor, with owners, a guest and a first reading.
INSERT INTO systems (owner_clerk_user_id, vendor_type, vendor_site_id, display_name, timezone_offset_min)
VALUES ('user_rehearsal', 'select.live', 'rehearsal-1', 'New at the old vendor', 330);

INSERT INTO systems (owner_clerk_user_id, vendor_type, vendor_site_id, display_name, timezone_offset_min)
VALUES ('user_rehearsal', 'enphase', 'rehearsal-2', 'New at another vendor', -210);

INSERT INTO user_systems (clerk_user_id, system_id, role)
SELECT owner_clerk_user_id, id, 'owner' FROM systems WHERE owner_clerk_user_id = 'user_rehearsal' ORDER BY id;

INSERT INTO user_systems (clerk_user_id, system_id, role)
SELECT 'user_rehearsal_guest', id, 'viewer' FROM systems
WHERE vendor_type = 'enphase' AND vendor_site_id = 'rehearsal-2';

INSERT INTO polling_status (system_id, last_poll_time, last_success_time, total_polls, successful_polls)
SELECT id, unixepoch(), unixepoch(), 1, 1 FROM systems WHERE owner_clerk_user_id = 'user_rehearsal';

INSERT INTO readings (
  system_id, inverter_time, received_time, solar_w, solar_inverter_w, shunt_w, load_w, battery_w, grid_w, battery_soc,
  fault_code, fault_timestamp, generator_status
)
SELECT id, unixepoch() - 60, unixepoch(), 500, 500, 0, 300, 0, -200, 90.0, 0, 0, 0 FROM systems
WHERE owner_clerk_user_id = 'user_rehearsal';

-- A guest is given access to a system, and loses it again.
INSERT INTO user_systems (clerk_user_id, system_id, role)
SELECT 'user_rehearsal_guest', id, 'viewer' FROM systems ORDER BY id LIMIT 1;

DELETE FROM user_systems
WHERE clerk_user_id = 'user_rehearsal_guest' AND system_id = (SELECT min(id) FROM systems);
