-- Each server process, for `status` and the count of replicas.
create table servers (
  -- Host name and process id.
  name text primary key,
  state jsonb not null,
  at timestamptz not null
);
