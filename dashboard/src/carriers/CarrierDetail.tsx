import { ActionIcon, Skeleton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { X } from 'lucide-react';
import type { ReactNode } from 'react';
import { useApi } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { useInterval } from '../live/live';
import { Card } from '../ui/Card';
import { ErrorCard } from '../ui/ErrorCard';
import { useNow } from '../ui/useNow';
import { CarrierSettings } from './CarrierSettings';
import classes from './carriers.module.css';
import type { Carrier } from './health';
import { CodeList } from './Inbox';
import { copiesQuery, inboxQuery, rejectsQuery } from './queries';

interface CarrierDetailProps {
  carrier: Carrier;
  /** As the API takes it, and in milliseconds. */
  window: string;
  ms: number;
  onClose: () => void;
}

/** What is wrong with what a carrier sends, and how it can be mended. */
export function CarrierDetail({ carrier, window, ms, onClose }: CarrierDetailProps) {
  const { t } = useI18n();
  const { source } = carrier;
  return (
    <Card
      titleId="carrier"
      title={<span className="mono">{source}</span>}
      className={classes.detail}
      actions={
        <>
          <Link to="/traces" search={{ source }} className={classes.link}>
            {t.carriers.traces}
          </Link>
          <ActionIcon variant="subtle" color="gray" aria-label={t.carriers.close} onClick={onClose}>
            <X size={16} aria-hidden />
          </ActionIcon>
        </>
      }
    >
      <div className={classes.columns}>
        <Rejects source={source} window={window} ms={ms} />
        <Copies source={source} window={window} ms={ms} />
        <Unmapped source={source} />
      </div>
      <CarrierSettings source={source} />
    </Card>
  );
}

const since = (ms: number) => () => new Date(Date.now() - ms).toISOString();

interface Asked<T> {
  data: T | undefined;
  error: unknown;
  isFetching: boolean;
  refetch: () => unknown;
}

function Part<T>({ title, asked, children }: { title: string; asked: Asked<T>; children: (data: T) => ReactNode }) {
  return (
    <section className={classes.part}>
      <h3>{title}</h3>
      {asked.data !== undefined ? (
        children(asked.data)
      ) : asked.error ? (
        <ErrorCard error={asked.error} onRetry={() => void asked.refetch()} retrying={asked.isFetching} />
      ) : (
        <Skeleton height={90} />
      )}
    </section>
  );
}

function Rejects({ source, window, ms }: { source: string; window: string; ms: number }) {
  const { t, f } = useI18n();
  const api = useApi();
  const now = useNow(10_000);
  const asked = useQuery({ ...rejectsQuery(api, source, window, since(ms)), refetchInterval: useInterval(10_000) });
  return (
    <Part title={t.carriers.rejects} asked={asked}>
      {(groups) =>
        groups.length === 0 ? (
          <p className="secondary">{t.carriers.rejectsNone}</p>
        ) : (
          <ul className={classes.reasons}>
            {groups.map((group) => (
              <li key={`${group.stage ?? ''} ${group.reason ?? ''}`}>
                <p>
                  <Link
                    to="/dead-letters"
                    search={{
                      source,
                      state: 'all',
                      ...(group.stage && { stage: group.stage }),
                      ...(group.reason && { reason: group.reason }),
                    }}
                    className="mono"
                  >
                    {[group.stage, group.reason].filter(Boolean).join(' › ')}
                  </Link>
                  <strong className="num">{t.carriers.rejectCount(group.count, f.count(group.count))}</strong>
                </p>
                <p className="secondary" lang="en">
                  {group.example}
                </p>
                <p className="secondary num">
                  {t.carriers.lastSeen(f.ago(Math.max(0, now - Date.parse(group.newest))))}
                </p>
              </li>
            ))}
          </ul>
        )
      }
    </Part>
  );
}

function Copies({ source, window, ms }: { source: string; window: string; ms: number }) {
  const { t, f } = useI18n();
  const api = useApi();
  const asked = useQuery({ ...copiesQuery(api, source, window, since(ms)), refetchInterval: useInterval(10_000) });
  return (
    <Part title={t.carriers.duplicates} asked={asked}>
      {(copies) =>
        copies === null ? (
          <p className="secondary">{t.carriers.duplicatesNone}</p>
        ) : (
          <ul className={classes.reasons}>
            <li>
              <strong className="num">
                {t.carriers.duplicatesOf(copies.events, f.count(copies.events), f.percent(copies.share))}
              </strong>
              {copies.median_later_seconds !== undefined && (
                <p className="num">{t.carriers.duplicatesLater(f.duration(copies.median_later_seconds * 1000))}</p>
              )}
              {copies.second_source > 0 && (
                <p className="num">
                  {t.carriers.duplicatesSecond(copies.second_source, f.count(copies.second_source))}
                </p>
              )}
            </li>
          </ul>
        )
      }
    </Part>
  );
}

function Unmapped({ source }: { source: string }) {
  const { t } = useI18n();
  const api = useApi();
  const asked = useQuery({ ...inboxQuery(api, source), refetchInterval: useInterval(15_000) });
  return (
    <Part title={t.carriers.unmapped} asked={asked}>
      {(page) =>
        (page.items ?? []).length === 0 ? (
          <p className="secondary">{t.carriers.unmappedNone}</p>
        ) : (
          <>
            <p className="secondary">{t.carriers.inbox.lead}</p>
            <CodeList page={page} />
          </>
        )
      }
    </Part>
  );
}
