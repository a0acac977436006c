import { Button } from '@mantine/core';
import { BellOff, BookOpen } from 'lucide-react';
import { useI18n } from '../i18n/i18n';
import { HealthMark } from '../ui/HealthMark';
import classes from './alerts.module.css';
import type { Alert } from './queries';
import { SubjectLink } from './SubjectLink';
import { healthOf, measured, sentence } from './sentence';

interface AlertRowProps {
  alert: Alert;
  now: number;
  /** What can be done about it; undefined for who may not. */
  onSilence?: ((alert: Alert) => void) | undefined;
  onUnsilence?: ((alert: Alert) => void) | undefined;
}

/** What is wrong, since when, by how much, and what to do about it. */
export function AlertRow({ alert, now, onSilence, onUnsilence }: AlertRowProps) {
  const { t, f } = useI18n();
  const health = alert.state === 'resolved' ? 'ok' : healthOf(alert.severity);
  const at = (time: string) => f.ago(Math.max(0, now - Date.parse(time)));
  const { silence } = alert;
  return (
    <li className={classes.alert} data-health={health} data-testid={`alert-${alert.id}`}>
      <HealthMark health={health} size={18} />
      <div className={classes.what}>
        <strong className={classes.sentence}>
          <SubjectLink alert={alert}>{sentence(alert, t, f)}</SubjectLink>
        </strong>
        <p className={`${classes.facts} secondary num`}>
          {alert.state === 'resolved' && alert.resolved_at ? (
            <span title={f.here(alert.resolved_at)}>{t.alerts.over(at(alert.resolved_at))}</span>
          ) : (
            <span title={f.here(alert.since)}>{t.alerts.since(at(alert.since))}</span>
          )}
          <span>
            {t.alerts.value(measured(alert.value, alert.unit, f))}
            {alert.limit > 0 && ` · ${t.alerts.limit(measured(alert.limit, alert.unit, f))}`}
          </span>
          {alert.scope === 'system' && <span>{t.alerts.system}</span>}
        </p>
        {silence && (
          <p className={classes.silence}>
            <BellOff size={14} aria-hidden />
            <span>
              {t.alerts.silencedBy(silence.who, f.here(silence.until))} <q>{silence.reason}</q>
            </span>
          </p>
        )}
      </div>
      <div className={classes.actions}>
        <a href={alert.runbook_url} target="_blank" rel="noreferrer" className={classes.runbook}>
          <BookOpen size={15} aria-hidden />
          {t.alerts.runbook}
          <span className="visually-hidden"> {alert.runbook}</span>
        </a>
        {silence
          ? onUnsilence && (
              <Button size="compact-sm" variant="default" onClick={() => onUnsilence(alert)}>
                {t.alerts.unsilence}
              </Button>
            )
          : onSilence && (
              <Button size="compact-sm" variant="default" onClick={() => onSilence(alert)}>
                {t.alerts.silence}
              </Button>
            )}
      </div>
    </li>
  );
}
