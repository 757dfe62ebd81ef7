-- Accounts of people at upstream servers, and what it takes to get there.

create table upstream_accounts (
  upstream text not null,
  user_id uuid not null references users on delete cascade,
  -- The server's address that the tokens are for: to another one in the file they are not sent.
  url text not null,
  issuer text not null,
  -- As the upstream calls the account, where it says.
  account text,
  scope text[] not null,
  -- What the upstream asked for beyond that.
  wanted_scope text[] not null default '{}',
  -- Access and refresh token, the client they were given to and where they are renewed, sealed with AUTH_SECRET.
  tokens bytea,
  expires_at timestamptz,
  -- Why there are no tokens any more, until the person links the account again.
  ended text check (ended in ('refused', 'expired', 'issuer_changed')),
  linked_at timestamptz not null,
  refreshed_at timestamptz not null,
  used_at timestamptz,
  -- Nobody else refreshes before then: somebody does, or it has failed a moment ago.
  refresh_after timestamptz,
  -- In a row.
  failures integer not null default 0,
  primary key (upstream, user_id),
  check ((tokens is null) = (ended is not null))
);
create index upstream_accounts_user on upstream_accounts (user_id);

-- People on their way to an upstream's authorization server and back.
create table upstream_trips (
  state_hash bytea primary key check (length(state_hash) = 32),
  -- The browser session that began it; nobody else ends it.
  session_hash bytea not null references sessions on delete cascade,
  user_id uuid not null references users on delete cascade,
  upstream text not null,
  -- The code verifier and what was found out about the server, sealed with AUTH_SECRET.
  request bytea not null,
  expires_at timestamptz not null
);
create index upstream_trips_expiry on upstream_trips (expires_at);
create index upstream_trips_session on upstream_trips (session_hash);
create index upstream_trips_user on upstream_trips (user_id);

-- What authorization servers registered us as (RFC 7591), for each upstream's own redirect URI.
create table upstream_clients (
  issuer text not null,
  redirect_uri text not null,
  -- The client id and, where there is one, its secret, sealed with AUTH_SECRET.
  client bytea not null,
  registered_at timestamptz not null,
  primary key (issuer, redirect_uri)
);
