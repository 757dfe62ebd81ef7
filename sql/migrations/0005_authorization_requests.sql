-- Authorization requests that wait for a person to sign in and to decide (RFC 6749 4.1.1).
create table authorization_requests (
  id uuid primary key,
  -- The parameters as they came, sealed with AUTH_SECRET: the client's state is among them.
  parameters bytea not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  -- Taken once, by the session that is named beside it.
  decision text check (decision in ('approved', 'denied')),
  session_hash bytea check (length(session_hash) = 32),
  check ((decision is null) = (session_hash is null))
);
create index authorization_requests_expiry on authorization_requests (expires_at);
create index authorization_requests_age on authorization_requests (created_at);
