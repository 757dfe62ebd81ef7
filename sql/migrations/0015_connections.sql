-- What a person calls a connection, such as "laptop"; and its last call, which refreshes in the background do not tell.
alter table grants add column label text check (length(label) between 1 and 60);
-- Written once a minute, so it may be that much too early.
alter table grants add column called_at timestamptz;
alter table grants add column called_from text;
