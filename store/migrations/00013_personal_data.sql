-- +goose Up

-- The key of each tenant by which its subjects are found: what is kept of a subject's name is a digest under it.
CREATE TABLE personal_indexes (
    tenant_id text  COLLATE "C" PRIMARY KEY,
    wrapped   bytea NOT NULL -- by a master key, which is never here
);

-- The key that a subject's personal data is sealed under. To forget the subject is to destroy it; a subject that is heard of
-- again gets another.
CREATE TABLE subject_keys (
    id           uuid        PRIMARY KEY,
    tenant_id    text        COLLATE "C" NOT NULL,
    subject      bytea       NOT NULL, -- a digest under the tenant's index key
    wrapped      bytea,                -- by a master key
    created_at   timestamptz NOT NULL DEFAULT now(),
    destroyed_at timestamptz,
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
);

CREATE UNIQUE INDEX subject_keys_live ON subject_keys (tenant_id, subject) WHERE destroyed_at IS NULL;
CREATE INDEX subject_keys_subject ON subject_keys (tenant_id, subject);

-- What events say about people. Events themselves do not change when somebody is forgotten.
CREATE TABLE personal_data (
    uid       uuid  PRIMARY KEY,
    tenant_id text  COLLATE "C" NOT NULL,
    key_id    uuid  NOT NULL,
    sealed    bytea NOT NULL -- empty: its subject was forgotten before it came to be stored
);

CREATE INDEX personal_data_key ON personal_data (key_id);

-- What dead letters say about people, the payload of each having markers in its place.
ALTER TABLE dead_letters ADD COLUMN personal_key uuid, ADD COLUMN personal bytea;
CREATE INDEX dead_letters_personal ON dead_letters (personal_key) WHERE personal_key IS NOT NULL;

-- +goose StatementBegin
CREATE FUNCTION personal_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'personal_data is not changed: % refused', TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER personal_data_unchanged BEFORE UPDATE ON personal_data FOR EACH ROW EXECUTE FUNCTION personal_refuse();

-- Tenants see their own, sealed, as they do all else that names them (00002_tenancy).
-- +goose StatementBegin
DO $$
DECLARE
    confined text;
BEGIN
    FOREACH confined IN ARRAY ARRAY['personal_indexes', 'subject_keys', 'personal_data'] LOOP
        EXECUTE format('GRANT SELECT ON %I TO rastro_query', confined);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', confined);
        EXECUTE format('CREATE POLICY tenant ON %I FOR SELECT TO rastro_query '
            || 'USING (tenant_id = current_setting(''rastro.tenant_id'', true))', confined);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
ALTER TABLE dead_letters DROP COLUMN personal_key, DROP COLUMN personal;
DROP TABLE personal_data, subject_keys, personal_indexes;
DROP FUNCTION personal_refuse;
