-- Bearer tokens that people make for scripts: used without a client, bound to their user and one resource.
create table personal_tokens (
  id uuid primary key,
  token_hash bytea not null unique check (length(token_hash) = 32),
  user_id uuid not null references users on delete cascade,
  name text not null check (length(name) between 1 and 100),
  scope text[] not null check (cardinality(scope) > 0),
  resource text not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  -- Written once a minute, so it may be that much too early.
  used_at timestamptz
);
create index personal_tokens_user on personal_tokens (user_id, id);
create index personal_tokens_expiry on personal_tokens (expires_at);
