-- Whose wish it is that a disabled user is removed. The removal takes several steps; a sweep finishes one that was interrupted.
alter table users
  add column leaving_by text check (leaving_by in ('user', 'operator')),
  add constraint users_leaving check (leaving_by is null or disabled_at is not null);
create index users_leaving_index on users (id) where leaving_by is not null;
