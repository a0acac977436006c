import { Skeleton, Tabs } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { RadioTower } from 'lucide-react';
import { useApi } from '../app/scope';
import { useRange, windowOf } from '../frame/range';
import { useI18n } from '../i18n/i18n';
import { useInterval } from '../live/live';
import { Card } from '../ui/Card';
import { Empty } from '../ui/Empty';
import { ErrorCard } from '../ui/ErrorCard';
import { useTitle } from '../ui/useTitle';
import { CarrierDetail } from './CarrierDetail';
import { CarrierTable } from './CarrierTable';
import classes from './carriers.module.css';
import { Inbox } from './Inbox';
import { carriersQuery } from './queries';
import { TenantPanel } from './TenantPanel';

const route = getRouteApi('/carriers');

/** Who sends events, and how well; and what is allowed to whom they are sent for. */
export function CarriersPage() {
  const { t } = useI18n();
  useTitle(t.carriers.title);
  const { tab = 'carriers' } = route.useSearch();
  const navigate = route.useNavigate();
  return (
    <div className={classes.page}>
      <header>
        <h1 className={classes.title}>{t.carriers.title}</h1>
        <p className="secondary">{t.carriers.lead}</p>
      </header>
      <Tabs
        color="var(--brand)"
        value={tab}
        keepMounted={false}
        onChange={(next) =>
          void navigate({ search: () => (next === 'inbox' || next === 'tenant' ? { tab: next } : {}), replace: true })
        }
      >
        <Tabs.List className={classes.tabs}>
          <Tabs.Tab value="carriers">{t.carriers.tab.carriers}</Tabs.Tab>
          <Tabs.Tab value="inbox">{t.carriers.tab.inbox}</Tabs.Tab>
          <Tabs.Tab value="tenant">{t.carriers.tab.tenant}</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="carriers">
          <Carriers />
        </Tabs.Panel>
        <Tabs.Panel value="inbox">
          <Inbox />
        </Tabs.Panel>
        <Tabs.Panel value="tenant">
          <TenantPanel />
        </Tabs.Panel>
      </Tabs>
    </div>
  );
}

function Carriers() {
  const { t, f } = useI18n();
  const api = useApi();
  const [range] = useRange();
  const window = windowOf(range);
  const interval = useInterval(5_000);
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { data, error, refetch, isFetching, dataUpdatedAt } = useQuery({
    ...carriersQuery(api, window),
    refetchInterval: interval,
  });
  if (!data && error) return <ErrorCard error={error} onRetry={() => void refetch()} retrying={isFetching} />;
  if (!data) return <Skeleton height={420} radius={10} />;
  if (data.length === 0) {
    return (
      <Card labelledBy="no-carriers">
        <Empty icon={<RadioTower size={28} aria-hidden />} title={t.carriers.none}>
          <p>{t.carriers.noneNext}</p>
        </Empty>
      </Card>
    );
  }
  const { source, by = 'health', up = false } = search;
  const chosen = data.find((carrier) => carrier.source === source);
  const needing = data.filter((carrier) => !['fine', 'unknown'].includes(carrier.health)).length;
  const choose = (next: string | undefined) =>
    void navigate({
      search: ({ source: _, ...rest }) => ({ ...rest, ...(next && { source: next }) }),
      replace: true,
      resetScroll: false,
    });
  return (
    <div className={classes.stack}>
      <Card
        titleId="carriers"
        title={t.carriers.all(data.length, f.count(data.length))}
        note={
          <span className="num">
            {needing > 0 ? t.carriers.needing(needing, f.count(needing)) : t.carriers.allFine}
            {' · '}
            {t.carriers.window(range.kind === 'relative' ? t.range.last[range.name] : f.stretch(range.from, range.to))}{' '}
            {t.carriers.updated(f.clock(dataUpdatedAt))}
          </span>
        }
        className={classes.tableCard}
      >
        <CarrierTable
          carriers={data}
          sorting={{ by, up }}
          onSort={(next) =>
            void navigate({
              search: ({ by: _, up: __, ...rest }) => ({
                ...rest,
                ...(next.by !== 'health' && { by: next.by }),
                ...(next.up && { up: true as const }),
              }),
              replace: true,
              resetScroll: false,
            })
          }
          chosen={source}
          onChoose={choose}
        />
      </Card>
      {chosen && (
        <CarrierDetail
          key={chosen.source}
          carrier={chosen}
          window={window}
          ms={range.ms}
          onClose={() => choose(undefined)}
        />
      )}
    </div>
  );
}
