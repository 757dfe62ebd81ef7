-- What the gateway knows of upstreams without starting them.

create table upstream_eras (
  -- SHA-256 of the command line or URL.
  reached_hash bytea primary key check (length(reached_hash) = 32),
  speaks text not null check (speaks in ('2026', '2025', '2025-sse')),
  found_at timestamptz not null
);

create table upstream_catalogues (
  upstream text not null,
  -- Whose: empty where everybody gets the same.
  principal text not null,
  kind text not null check (kind in ('server', 'tools', 'prompts', 'resources', 'resourceTemplates')),
  -- Of the command line or URL that it came from.
  reached_hash bytea not null check (length(reached_hash) = 32),
  -- JSON as the upstream sent it: text, so that the order of members and escaped characters survive.
  content text not null,
  fetched_at timestamptz not null,
  primary key (upstream, principal, kind)
);
create index upstream_catalogues_fetched on upstream_catalogues (fetched_at);

create table upstream_tools (
  upstream text not null,
  principal text not null,
  name text not null,
  -- SHA-256 of name, description, schemas and annotations, in hex: as first seen, or as last accepted.
  fingerprint text not null check (length(fingerprint) = 64),
  -- What it is now, where that waits to be accepted.
  pending text check (length(pending) = 64),
  seen_at timestamptz not null,
  primary key (upstream, principal, name)
);
