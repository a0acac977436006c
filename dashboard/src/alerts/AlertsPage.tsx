import { useMutation, useQueryClient } from '@tanstack/react-query';
import { CircleCheck } from 'lucide-react';
import { type ReactNode, useState } from 'react';
import { answer } from '../api/typed';
import { useApi, useRole } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { Card } from '../ui/Card';
import { Empty } from '../ui/Empty';
import { ErrorCard } from '../ui/ErrorCard';
import { StaleNote } from '../ui/StaleNote';
import { TableSkeleton } from '../ui/TableSkeleton';
import { useNow } from '../ui/useNow';
import { useTitle } from '../ui/useTitle';
import { AlertRow } from './AlertRow';
import classes from './alerts.module.css';
import { type Alert, type AlertList, firing, severities, silenceChanged, useAlerts } from './queries';
import { SilenceDialog } from './SilenceDialog';
import { kindName, measured } from './sentence';

/** What is wrong, the worst first; what somebody has silenced, and what was, are folded away. */
export function AlertsPage() {
  const { t, f } = useI18n();
  useTitle(t.alerts.title);
  const alerts = useAlerts();
  const { data } = alerts;
  return (
    <div className={classes.page}>
      <header>
        <h1 className={classes.title}>{t.alerts.title}</h1>
        <p className="secondary num">
          {data?.looked_at ? t.alerts.lookedAt(f.clock(Date.parse(data.looked_at))) : t.alerts.lead}
        </p>
      </header>
      {alerts.isError && data && <StaleNote onRetry={() => void alerts.refetch()} />}
      {alerts.isPending && <TableSkeleton rows={4} />}
      {alerts.isError && !data && (
        <ErrorCard error={alerts.error} onRetry={() => void alerts.refetch()} retrying={alerts.isFetching} />
      )}
      {data && <Alerts list={data} />}
    </div>
  );
}

function Alerts({ list }: { list: AlertList }) {
  const { t, f } = useI18n();
  const api = useApi();
  const queryClient = useQueryClient();
  const now = useNow(10_000);
  const mayAct = useRole('ops:write');
  const [chosen, setChosen] = useState<Alert>();
  const unsilence = useMutation({
    mutationFn: (alert: Alert) =>
      answer(api.DELETE('/api/v1/alerts/{id}/silence', { params: { path: { id: alert.id } } })),
    onSettled: () => silenceChanged(queryClient, api),
  });
  const open = firing(list);
  const silenced = (list.items ?? []).filter((a) => a.silence);
  const rows = (alerts: readonly Alert[]) => (
    <ul className={classes.list}>
      {alerts.map((alert) => (
        <AlertRow
          key={alert.id}
          alert={alert}
          now={now}
          onSilence={mayAct && alert.state !== 'resolved' ? setChosen : undefined}
          onUnsilence={mayAct ? unsilence.mutate : undefined}
        />
      ))}
    </ul>
  );
  return (
    <div className={classes.stack}>
      {unsilence.isError && (
        <ErrorCard error={unsilence.error} onRetry={() => unsilence.reset()} retrying={unsilence.isPending} />
      )}
      {open.length === 0 && <Nothing list={list} />}
      {severities.map((severity) => {
        const some = open.filter((a) => a.severity === severity);
        return some.length === 0 ? null : (
          <Card
            key={severity}
            titleId={`alerts-${severity}`}
            title={t.alerts.severity[severity]}
            note={<span className="num">{f.count(some.length)}</span>}
          >
            {rows(some)}
          </Card>
        );
      })}
      <Folded
        title={t.alerts.silenced(silenced.length, f.count(silenced.length))}
        hidden={silenced.length === 0}
        id="silenced"
      >
        {rows(silenced)}
      </Folded>
      <Folded
        title={t.alerts.pending(list.pending?.length ?? 0, f.count(list.pending?.length ?? 0))}
        hidden={!list.pending?.length}
        id="pending"
      >
        {rows(list.pending ?? [])}
      </Folded>
      <Folded
        title={t.alerts.resolved(list.resolved?.length ?? 0, f.count(list.resolved?.length ?? 0))}
        hidden={!list.resolved?.length}
        id="resolved"
      >
        {rows(list.resolved ?? [])}
      </Folded>
      <Folded title={t.alerts.watched} hidden={open.length === 0} id="watched">
        <Watched list={list} />
      </Folded>
      {chosen && <SilenceDialog alert={chosen} onClose={() => setChosen(undefined)} />}
    </div>
  );
}

function Folded({ title, hidden, id, children }: { title: string; hidden: boolean; id: string; children: ReactNode }) {
  if (hidden) return null;
  return (
    <details className={classes.folded} data-testid={`alerts-${id}`}>
      <summary>{title}</summary>
      {children}
    </details>
  );
}

/** Nothing is wrong: what that is said of. */
function Nothing({ list }: { list: AlertList }) {
  const { t } = useI18n();
  return (
    <Card labelledBy="no-alerts">
      <Empty icon={<CircleCheck size={28} aria-hidden />} title={list.looked_at ? t.alerts.none : t.alerts.notYet}>
        <p>{t.alerts.noneNext}</p>
        <Watched list={list} />
      </Empty>
    </Card>
  );
}

/** All that is looked for, with the limits that are set. */
function Watched({ list }: { list: AlertList }) {
  const { t, f } = useI18n();
  return (
    <ul className={classes.watched} data-testid="watched">
      {(list.watched ?? []).map((w) => (
        <li key={w.kind}>
          <span>{kindName(w.kind, t)}</span>
          {w.limit > 0 && <span className="secondary num">{t.alerts.limit(measured(w.limit, w.unit, f))}</span>}
        </li>
      ))}
    </ul>
  );
}
