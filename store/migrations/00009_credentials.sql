-- +goose Up

-- What carriers that cannot do OpenID Connect send events with. An API key is known by the hash of a key that nobody can guess; a
-- secret for signatures is sealed, because it is needed to check them.
CREATE TABLE credentials (
    id           uuid        PRIMARY KEY,
    tenant_id    text        COLLATE "C" NOT NULL,
    kind         text        COLLATE "C" NOT NULL CHECK (kind IN ('api_key', 'hmac')),
    name         text        NOT NULL,             -- for people
    carrier      text        COLLATE "C" NOT NULL, -- whose address it opens; empty: none
    source       text        COLLATE "C" NOT NULL, -- what its events come from; empty: what they say
    roles        text[]      NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz                       -- to the minute or so
);

CREATE INDEX credentials_tenant ON credentials (tenant_id, created_at);

-- One secret, or two while senders change from one to the next.
CREATE TABLE credential_secrets (
    id            uuid        PRIMARY KEY,
    credential_id uuid        NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    tenant_id     text        COLLATE "C" NOT NULL,
    prefix        text        NOT NULL, -- what it begins with, to know it by; empty for signatures
    hash          bytea       UNIQUE,   -- SHA-256 of an API key
    sealed        bytea,                -- secret for signatures
    created_at    timestamptz NOT NULL DEFAULT now(),
    ends_at       timestamptz,          -- NULL: with the credential
    CHECK ((hash IS NULL) <> (sealed IS NULL))
);

CREATE INDEX credential_secrets_of ON credential_secrets (credential_id, created_at);

-- Which signed messages were taken, so that nobody sends them again, and which are in hand.
CREATE TABLE webhook_messages (
    credential_id uuid        NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    message_id    text        COLLATE "C" NOT NULL,
    tenant_id     text        COLLATE "C" NOT NULL,
    digest        bytea       NOT NULL, -- of the body
    holder        uuid        NOT NULL, -- who has it in hand,
    held_until    timestamptz NOT NULL, -- and until when nobody else does
    taken_at      timestamptz,          -- NULL: not yet
    accepted      integer     NOT NULL DEFAULT 0,
    rejected      integer     NOT NULL DEFAULT 0,
    forget_at     timestamptz NOT NULL,
    PRIMARY KEY (credential_id, message_id)
) WITH (fillfactor = 80);

CREATE INDEX webhook_messages_old ON webhook_messages (forget_at);

-- Tenants see their own credentials, as they do all else that names them (00002_tenancy), and nobody who queries sees a secret.
ALTER TABLE credentials ENABLE ROW LEVEL SECURITY;
ALTER TABLE credential_secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_messages ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON credentials FOR SELECT TO rastro_query USING (tenant_id = current_setting('rastro.tenant_id', true));
GRANT SELECT ON credentials TO rastro_query;

-- +goose Down
DROP TABLE webhook_messages, credential_secrets, credentials;
