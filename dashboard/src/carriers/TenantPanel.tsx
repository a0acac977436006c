import { Skeleton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Ban, Check } from 'lucide-react';
import type { ReactNode } from 'react';
import type { Kind } from '../api/types';
import { useApi } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { JsonView } from '../trace/JsonView';
import { Card } from '../ui/Card';
import { ErrorCard } from '../ui/ErrorCard';
import { Mark } from '../ui/Mark';
import classes from './carriers.module.css';
import { tenantQuery } from './queries';

/** What is allowed to the tenant on show, and what it prefers: to be read only. */
export function TenantPanel() {
  const { t, f } = useI18n();
  const { data, error, refetch, isFetching } = useQuery(tenantQuery(useApi()));
  if (!data && error) return <ErrorCard error={error} onRetry={() => void refetch()} retrying={isFetching} />;
  if (!data) return <Skeleton height={320} radius={10} />;
  const words = t.carriers.tenant;
  const days = (n: number) => (n === 0 ? words.forever : words.days(n, f.count(n)));
  const kinds = Object.entries(data.retention_by_kind ?? {});
  return (
    <Card titleId="tenant" title={data.name || data.id} note={words.note}>
      <dl className={classes.settings} data-testid="tenant">
        <Setting name={words.id}>
          <code className="mono">{data.id}</code>
        </Setting>
        <Setting name={words.active}>
          <Mark
            tone={data.active ? 'ok' : 'bad'}
            icon={data.active ? <Check size={12} aria-hidden /> : <Ban size={12} aria-hidden />}
          >
            {data.active ? words.isActive : words.isInactive}
          </Mark>
        </Setting>
        {data.country && <Setting name={words.country}>{f.country(data.country)}</Setting>}
        <Setting name={words.rate}>
          <span className="num">
            {data.rate_per_second > 0 ? words.rateText(f.decimal(data.rate_per_second)) : words.unlimited}
          </span>
        </Setting>
        <Setting name={words.payload}>
          <span className="num">
            {data.max_payload_bytes > 0 ? words.payloadText(f.decimal(data.max_payload_bytes / 1024)) : words.unlimited}
          </span>
        </Setting>
        <Setting name={words.retention}>
          <ul className="num">
            <li>{days(data.retention_days)}</li>
            {kinds.map(([kind, n]) => (
              <li key={kind}>
                {t.trace.kind[kind as Kind] ?? kind}: {days(n)}
              </li>
            ))}
          </ul>
        </Setting>
        <Setting name={words.sources}>
          <List values={data.sources ?? []} />
        </Setting>
        <Setting name={words.eventTypes}>
          <List values={data.event_types ?? []} />
        </Setting>
        <Setting name={words.preferences}>
          <JsonView text={JSON.stringify(data.preferences ?? {})} label={words.preferences} />
        </Setting>
      </dl>
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

function List({ values }: { values: readonly string[] }) {
  const { t } = useI18n();
  if (values.length === 0) return <span className="secondary">{t.carriers.tenant.any}</span>;
  return (
    <ul className={classes.values}>
      {values.map((value) => (
        <li key={value} className="mono">
          {value}
        </li>
      ))}
    </ul>
  );
}
