-- +goose Up

-- Tenants read as this role, which sees the rows of one tenant only: the one that rastro.tenant_id names. Roles belong to the
-- whole server, so another database may have made it already, even this very moment.
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rastro_query') THEN
        BEGIN
            CREATE ROLE rastro_query NOLOGIN;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    IF NOT pg_has_role(current_user, 'rastro_query', 'MEMBER')
        OR current_setting('server_version_num')::int >= 160000 AND NOT pg_has_role(current_user, 'rastro_query', 'SET') THEN
        EXECUTE format('GRANT rastro_query TO %I', current_user);
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'role rastro_query is needed, and % may not make it or act as it', current_user
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('As a superuser run: CREATE ROLE rastro_query NOLOGIN; GRANT rastro_query TO %I;', current_user);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
DECLARE
    confined text;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO rastro_query', current_schema());
    -- Reading a partition by its own name would go round the policy of its parent, so only the parents are granted.
    FOREACH confined IN ARRAY ARRAY['event_store', 'traces', 'dead_letters', 'stage_stats', 'stage_totals', 'tenant_tracking_settings'] LOOP
        EXECUTE format('GRANT SELECT ON %I TO rastro_query', confined);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', confined);
        EXECUTE format('CREATE POLICY tenant ON %I FOR SELECT TO rastro_query '
            || 'USING (tenant_id = current_setting(''rastro.tenant_id'', true))', confined);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$
DECLARE
    confined text;
BEGIN
    FOREACH confined IN ARRAY ARRAY['event_store', 'traces', 'dead_letters', 'stage_stats', 'stage_totals', 'tenant_tracking_settings'] LOOP
        EXECUTE format('DROP POLICY tenant ON %I', confined);
        EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', confined);
        EXECUTE format('REVOKE ALL ON %I FROM rastro_query', confined);
    END LOOP;
    -- The role stays: other databases of the server may use it.
    EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM rastro_query', current_schema());
END
$$;
-- +goose StatementEnd
