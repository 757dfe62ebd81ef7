-- The last poll of each device code, which may be lost with a crash. Not in device_codes, whose updates are in the log. What that
-- has of polls is written no more.
create unlogged table device_polls (
  device_code_hash bytea primary key check (length(device_code_hash) = 32),
  polled_at timestamptz not null,
  -- Longer than the code's own for a device that was too fast.
  interval_seconds integer not null,
  outcome text not null check (outcome in ('pending', 'slow_down')),
  -- As the code.
  expires_at timestamptz not null
) with (fillfactor = 50);
create index device_polls_expiry on device_polls (expires_at);
