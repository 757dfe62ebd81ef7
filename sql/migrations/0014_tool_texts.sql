-- What blocked tools were and have become, so that an operator can compare both before accepting them.
alter table upstream_tools
  -- JSON of what the fingerprint is made of. Null: changes of this upstream are not blocked, or it was stored by an older version.
  add column accepted text,
  -- The same of what is pending.
  add column offered text;
create index upstream_tools_pending on upstream_tools (upstream, name) where pending is not null;
