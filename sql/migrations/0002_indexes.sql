-- What every growing table is asked for has an index, and every foreign key, too: deleting what a row refers to looks for
-- the rows that refer to it. Partial where only few rows are ever looked for.

-- Both foreign keys to clients and users, and the codes of a client that are still open.
create index device_codes_client on device_codes (client_id, expires_at);
create index device_codes_user on device_codes (user_id) where user_id is not null;

create index authorization_codes_client on authorization_codes (client_id);
create index authorization_codes_user on authorization_codes (user_id);

-- The key of consents begins with the user.
create index consents_client on consents (client_id);

create index sign_in_links_user on sign_in_links (user_id);
create index sign_in_links_expiry on sign_in_links (expires_at);

create index grants_revoked on grants (revoked_at) where revoked_at is not null;

-- Also for the tokens of a grant that were used first.
create index refresh_tokens_grant_consumed on refresh_tokens (grant_id, consumed_at);
drop index refresh_tokens_grant;

create index clients_created on clients (created_at, id);
create index clients_unused on clients (created_at) where used_at is null and source in ('dynamic', 'metadata');
create index clients_unused_documents on clients (created_at) where used_at is null and source = 'metadata';
