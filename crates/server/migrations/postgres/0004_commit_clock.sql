-- How far the commit clock of the live channel has come: nanoseconds since 1970, as far as it was written down.
CREATE TABLE commit_clock (
    id        TEXT PRIMARY KEY NOT NULL,
    last_tick BIGINT NOT NULL
);
