-- What signs a browser in beside one-time links: of each password the argon2id hash, with its salt and cost, in PHC form.
CREATE TABLE passwords (
    user_id TEXT PRIMARY KEY NOT NULL REFERENCES users (id),
    hash    TEXT NOT NULL,
    set_at  BIGINT NOT NULL
);

-- How a browser session was opened: link, password.
ALTER TABLE credentials ADD COLUMN opened_by TEXT;
UPDATE credentials SET opened_by = 'link' WHERE kind = 'browser';
