-- How often what happened in each hour, counted when events are written, for charts that need no search of the log.
create table event_counts (
  hour timestamptz not null,
  event text not null,
  failed boolean not null,
  count bigint not null,
  primary key (hour, event, failed)
);
