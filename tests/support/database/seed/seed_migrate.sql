-- Migration: support several vendors of solar systems
-- Reconstructed from field reports; it is data for tests, and must never be run on anything that matters.

BEGIN TRANSACTION;

-- Add the new columns
ALTER TABLE systems ADD COLUMN vendor_type TEXT;
ALTER TABLE systems ADD COLUMN vendor_site_id TEXT;
ALTER TABLE systems ADD COLUMN timezone_offset_min INTEGER;

-- Fill them from the old ones
UPDATE systems SET
  vendor_type = 'select.live',
  vendor_site_id = system_number,
  timezone_offset_min = timezone_offset * 60, -- hours become minutes
  display_name = COALESCE(display_name, 'System ' || system_number);

-- Note: SQLite doesn't support DROP COLUMN directly, so the table is made anew
CREATE TABLE systems_new (
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
  timezone_offset_min INTEGER NOT NULL,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
  updated_at DATETIME DEFAULT CURRENT_TIMESTAMP
);

INSERT INTO systems_new (
  id, owner_clerk_user_id, vendor_type, vendor_site_id, display_name,
  model, serial, ratings, solar_size, battery_size, timezone_offset_min, created_at, updated_at
)
SELECT
  id, owner_clerk_user_id, vendor_type, vendor_site_id, display_name,
  model, serial, ratings, solar_size, battery_size, timezone_offset_min, created_at, updated_at
FROM systems;

DROP TABLE systems;
ALTER TABLE systems_new RENAME TO systems;

CREATE INDEX idx_systems_vendor ON systems(vendor_type, vendor_site_id);
CREATE INDEX idx_systems_owner ON systems(owner_clerk_user_id);

COMMIT;
