-- Rows that are updated soon or often get room on their pages for the next version, which then touches no index.
alter table device_codes set (fillfactor = 50);
alter table authorization_codes set (fillfactor = 70);
alter table grants set (fillfactor = 70);
alter table refresh_tokens set (fillfactor = 70);

-- Used tokens of a grant are found in the order in which they were issued: consumed_at is in no index, since it changes.
create index refresh_tokens_of_grant on refresh_tokens (grant_id, created_at);
drop index refresh_tokens_grant_consumed;

-- How often it was refreshed; its used tokens are counted now and then.
alter table grants add column refreshes integer not null default 0;
