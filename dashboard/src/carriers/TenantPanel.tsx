import { Skeleton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Ban, Check } from 'lucide-react';
import type { ReactNode } from 'react';
import { useApi } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { JsonView } from '../trace/JsonView';
import { Card } from '../ui/Card';
import { ErrorCard } from '../ui/ErrorCard';
import { Mark } from '../ui/Mark';
import classes from './carriers.module.css';
import { Effective } from './Effective';
import { tenantQuery } from './queries';

/** What is allowed to the tenant on show, and what it prefers: to be read only. */
export function TenantPanel() {
  const { t, f } = useI18n();
  const { data, error, refetch, isFetching } = useQuery(tenantQuery(useApi()));
  if (!data && error) return <ErrorCard error={error} onRetry={() => void refetch()} retrying={isFetching} />;
  if (!data) return <Skeleton height={320} radius={10} />;
  const words = t.carriers.tenant;
  return (
    <Card titleId="tenant" title={data.name || data.id} note={words.note}>
      <div data-testid="tenant">
        <dl className={classes.settings}>
          <Setting name={words.id}>
            <code className="mono">{data.id}</code>
          </Setting>
          <Setting name={words.active}>
            <Mark
              tone={data.active ? 'ok' : 'bad'}
              icon={data.active ? <Check size={12} aria-hidden /> : <Ban size={12} aria-hidden />}
            >
              {data.active ? t.carriers.settings.isActive : t.carriers.settings.isInactive}
            </Mark>
          </Setting>
          {data.country && <Setting name={words.country}>{f.country(data.country)}</Setting>}
          <Setting name={words.preferences}>
            <JsonView text={JSON.stringify(data.preferences ?? {})} label={words.preferences} />
          </Setting>
        </dl>
        <h3 className={classes.holds}>{t.carriers.settings.title}</h3>
        <Effective
          settings={(data.effective ?? []).filter(({ key }) => key !== 'active')}
          of="tenant"
          label={t.carriers.settings.label(data.name || data.id)}
        />
      </div>
    </Card>
  );
}

function Setting({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
