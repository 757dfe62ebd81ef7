-- Counting the connections reads this index alone, and not every grant.
drop index grants_expiry;
create index grants_expiry on grants (expires_at) include (revoked_at);
