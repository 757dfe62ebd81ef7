-- Hashes are SHA-256 of the secret; the secrets themselves are nowhere in the database.

create table users (
  id uuid primary key,
  email text not null,
  name text not null default '',
  is_admin boolean not null default false,
  -- Set for somebody an operator named by address: the first verified sign-in with that address becomes this user.
  invited_at timestamptz,
  disabled_at timestamptz,
  created_at timestamptz not null,
  signed_in_at timestamptz
);
create index users_email on users (lower(email));

-- Who somebody is, is the pair of issuer and subject; an address is only what is shown.
create table identities (
  issuer text not null,
  subject text not null,
  user_id uuid not null references users on delete cascade,
  created_at timestamptz not null,
  primary key (issuer, subject)
);
create index identities_user on identities (user_id);

create table sign_in_links (
  token_hash bytea primary key check (length(token_hash) = 32),
  user_id uuid not null references users on delete cascade,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz
);

create table sessions (
  id_hash bytea primary key check (length(id_hash) = 32),
  user_id uuid not null references users on delete cascade,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  ip text,
  user_agent text
);
create index sessions_user on sessions (user_id);
create index sessions_expiry on sessions (expires_at);

create table clients (
  id text primary key,
  name text not null check (length(name) between 1 and 100),
  -- operator: added by a command; token: registered itself with the initial access token; dynamic: anonymously (RFC 7591);
  -- metadata: its id is the URL of a document about it (client id metadata document).
  source text not null check (source in ('operator', 'token', 'dynamic', 'metadata')),
  auth_method text not null
    check (auth_method in ('none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt')),
  secret_hash bytea check (length(secret_hash) = 32),
  grant_types text[] not null check (cardinality(grant_types) > 0),
  redirect_uris text[] not null default '{}',
  scope text[] not null check (cardinality(scope) > 0),
  -- Public keys for private_key_jwt: the set itself, or where it is.
  jwks jsonb,
  jwks_uri text,
  -- What the client said of itself and we only repeat: client_uri, software_id, software_version.
  details jsonb not null default '{}',
  -- Of an anonymous public registration: the same one again gets the same client.
  fingerprint bytea unique check (length(fingerprint) = 32),
  -- Whether that has happened: then nobody alone may change it.
  shared boolean not null default false,
  -- Of the token that manages the registration (RFC 7592).
  registration_token_hash bytea check (length(registration_token_hash) = 32),
  created_at timestamptz not null,
  used_at timestamptz,
  -- Of a metadata document: until when the copy here need not be fetched again.
  fresh_until timestamptz,
  check ((auth_method in ('client_secret_basic', 'client_secret_post')) = (secret_hash is not null)),
  check ((auth_method = 'private_key_jwt') = (jwks is not null or jwks_uri is not null)),
  check (jwks is null or jwks_uri is null),
  check ((source = 'metadata') = (fresh_until is not null)),
  -- A machine proves itself, always.
  check (auth_method <> 'none' or 'client_credentials' <> all (grant_types)),
  check (source in ('operator', 'token') or 'client_credentials' <> all (grant_types)),
  check (fingerprint is null or (source = 'dynamic' and auth_method = 'none'))
);

-- What a user (or, for machines, the operator) has allowed a client: the family of tokens that ends as one.
create table grants (
  id uuid primary key,
  client_id text not null references clients on delete cascade,
  user_id uuid not null references users on delete cascade,
  scope text[] not null check (cardinality(scope) > 0),
  resource text not null,
  created_at timestamptz not null,
  used_at timestamptz not null,
  expires_at timestamptz not null,
  revoked_at timestamptz
);
create index grants_user on grants (user_id);
create index grants_client on grants (client_id);
create index grants_expiry on grants (expires_at);

create table refresh_tokens (
  token_hash bytea primary key check (length(token_hash) = 32),
  grant_id uuid not null references grants on delete cascade,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  consumed_at timestamptz
);
create index refresh_tokens_grant on refresh_tokens (grant_id);
create index refresh_tokens_expiry on refresh_tokens (expires_at);

create table device_codes (
  id uuid primary key,
  device_code_hash bytea not null unique check (length(device_code_hash) = 32),
  user_code text not null unique check (user_code ~ '^[BCDFGHJKLMNPQRSTVWXZ]{8}$'),
  client_id text not null references clients on delete cascade,
  scope text[] not null check (cardinality(scope) > 0),
  resource text not null,
  interval_seconds integer not null check (interval_seconds >= 5),
  request_ip text,
  request_agent text,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  polled_at timestamptz,
  -- The session that entered the code; nobody else may decide it.
  session_hash bytea,
  user_id uuid references users on delete cascade,
  decision text check (decision in ('approved', 'denied')),
  decided_at timestamptz,
  -- What was approved: never more than what was asked.
  granted_scope text[],
  consumed_at timestamptz,
  -- What the last poll was told; computed inside the statement that polls.
  outcome text,
  check ((decision is null) = (decided_at is null)),
  check (decision is null or user_id is not null),
  check (decision is distinct from 'approved' or cardinality(granted_scope) > 0),
  check (granted_scope <@ scope),
  check (consumed_at is null or decision = 'approved')
);
create index device_codes_expiry on device_codes (expires_at);

create table authorization_codes (
  code_hash bytea primary key check (length(code_hash) = 32),
  client_id text not null references clients on delete cascade,
  user_id uuid not null references users on delete cascade,
  redirect_uri text not null,
  scope text[] not null check (cardinality(scope) > 0),
  resource text not null,
  -- S256 (RFC 7636 4.2).
  code_challenge text not null check (length(code_challenge) = 43),
  created_at timestamptz not null,
  expires_at timestamptz not null,
  consumed_at timestamptz,
  -- What the code was exchanged for; a replay ends it.
  grant_id uuid,
  check ((consumed_at is null) = (grant_id is null))
);
create index authorization_codes_expiry on authorization_codes (expires_at);

-- What a user need not be asked again: kept for clients whose redirect host is known to be theirs.
create table consents (
  user_id uuid not null references users on delete cascade,
  client_id text not null references clients on delete cascade,
  redirect_host text not null,
  resource text not null,
  scope text[] not null check (cardinality(scope) > 0),
  created_at timestamptz not null,
  primary key (user_id, client_id, redirect_host, resource)
);

-- Client assertions that were used (RFC 7523 3, jti), until they would have expired.
create table used_assertions (
  -- SHA-256 of client id and jti.
  id_hash bytea primary key check (length(id_hash) = 32),
  expires_at timestamptz not null
);
create index used_assertions_expiry on used_assertions (expires_at);

create table signing_keys (
  kid text primary key,
  public_jwk jsonb not null,
  -- PKCS #8, sealed with AUTH_SECRET.
  private_key bytea not null,
  created_at timestamptz not null,
  -- Signs nothing from then on; stays in the key set until its last token has expired.
  retired_at timestamptz
);

-- What must be refused although its signature is good. Rows outlive the access tokens they speak of, not longer.
create table revocations (
  -- grant:<id>, client:<id> or token:<jti>
  subject text primary key,
  revoked_at timestamptz not null,
  expires_at timestamptz not null
);
create index revocations_expiry on revocations (expires_at);

create table audit_events (
  id bigint generated always as identity primary key,
  at timestamptz not null,
  event text not null,
  user_id uuid,
  client_id text,
  grant_id uuid,
  ip text,
  detail jsonb not null default '{}'
);
create index audit_events_at on audit_events (at);
create index audit_events_user on audit_events (user_id, at);

-- Failed guesses, counted by whom and where from.
create table throttles (
  key text primary key,
  failures integer not null,
  resets_at timestamptz not null
);
create index throttles_reset on throttles (resets_at);
