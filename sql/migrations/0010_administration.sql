-- What administrators page through, in the order that the pages show.
create index users_by_address on users (lower(email) collate "C", id);
create index clients_by_source on clients (source, created_at, id);
create index grants_open on grants (created_at, id) where revoked_at is null;
drop index grants_client;
create index grants_client on grants (client_id, created_at, id);
