-- What clients were seen to do on the way to their first call, to find out where they stop.
create table connection_steps (
  id bigint generated always as identity primary key,
  at timestamptz not null,
  step text not null,
  -- Only clients that we know.
  client_id text,
  network text not null,
  program text not null,
  status smallint not null,
  -- In our own words.
  answer text,
  -- Whether a person or a credential stands behind it: strangers' steps have a quota of their own.
  known boolean not null
);
create index connection_steps_at on connection_steps (at);
create index connection_steps_known on connection_steps (known, id);
create index connection_steps_client on connection_steps (client_id, at);
