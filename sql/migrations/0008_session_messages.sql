-- Answers and cancellations of 2025 clients that reached another replica than the one that waits for them.
create table session_messages (
  id uuid primary key,
  -- The key of the MCP session, as in revocations.
  session text not null,
  -- The message, sealed with AUTH_SECRET: people answer questions in it.
  content bytea not null,
  created_at timestamptz not null
);
create index session_messages_session on session_messages (session, created_at);
create index session_messages_age on session_messages (created_at);
