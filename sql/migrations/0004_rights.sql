-- The token that the last refresh exchanged, which may be retried for a moment, and where that refresh came from: who
-- presents an older token from there is a process of the same client that slept, not a thief.
alter table grants add column rotated_hash bytea check (length(rotated_hash) = 32);
alter table grants add column refreshed_network text;
alter table grants add column refreshed_agent text;

-- A new key is published for as long as a key set may be cached before it signs. The older keys retire at that moment.
alter table signing_keys add column signs_at timestamptz;
update signing_keys set signs_at = created_at;
alter table signing_keys alter column signs_at set not null;
