-- A session token is lent by a browser session and ends with it.
ALTER TABLE credentials ADD COLUMN parent_id TEXT;
CREATE INDEX credentials_by_parent ON credentials (parent_id);
