-- A start without a sign-in provider looks for an administrator to print a link for.
create index users_administrators on users (created_at) where is_admin;
