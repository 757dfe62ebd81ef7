-- Passkeys of users (WebAuthn Level 3): the public half of what a person signs in with.
create table passkeys (
  -- The credential's id, in base64url.
  id text primary key check (length(id) between 1 and 1400),
  user_id uuid not null references users on delete cascade,
  public_key bytea not null,
  -- Grows with each use; always 0 for passkeys that are synchronised between devices.
  counter bigint not null,
  transports text[] not null default '{}',
  name text not null check (length(name) between 1 and 60),
  -- Whether it is backed up, so that it survives the loss of a device.
  backed_up boolean not null,
  created_at timestamptz not null,
  used_at timestamptz
);
create index passkeys_user on passkeys (user_id, created_at);
