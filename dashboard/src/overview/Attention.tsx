import { Link } from '@tanstack/react-router';
import type { Alert } from '../alerts/queries';
import { SubjectLink } from '../alerts/SubjectLink';
import { healthOf, sentence } from '../alerts/sentence';
import type { Schema } from '../api/typed';
import { useI18n } from '../i18n/i18n';
import { HealthMark } from '../ui/HealthMark';
import classes from './overview.module.css';

/** How many are shown; the rest is counted. */
const shown = 3;

interface AttentionProps {
  alerts: readonly Alert[] | undefined;
  paused: readonly Schema<'Pause'>[];
}

/** What is not well, before everything else; or that all is. Undefined while it is not known. */
export function Attention({ alerts, paused }: AttentionProps) {
  const { t, f } = useI18n();
  const rest = (alerts?.length ?? 0) - shown;
  return (
    <section className={classes.attention} aria-label={t.overview.attention.title} data-testid="attention">
      {!alerts || alerts.length + paused.length === 0 ? (
        <p className={classes.allWell}>
          <HealthMark health={alerts ? 'ok' : 'idle'} size={16} />
          {alerts ? t.overview.attention.none : t.overview.attention.unknown}
        </p>
      ) : (
        <ul className={classes.troubles}>
          {paused.map((pause) => (
            <li key={pause.id} data-health="paused">
              <HealthMark health="paused" size={16} />
              <Link to="/stages/$id" params={{ id: pause.id }}>
                {t.overview.attention.paused(pause.id, pause.paused_by_name || pause.paused_by, pause.reason)}
              </Link>
            </li>
          ))}
          {alerts.slice(0, shown).map((alert) => (
            <li key={alert.id} data-health={healthOf(alert.severity)} title={sentence(alert, t, f)}>
              <HealthMark health={healthOf(alert.severity)} size={16} />
              <SubjectLink alert={alert}>{sentence(alert, t, f)}</SubjectLink>
            </li>
          ))}
          {rest > 0 && (
            <li className={classes.rest}>
              <Link to="/alerts">{t.overview.attention.more(rest)}</Link>
            </li>
          )}
        </ul>
      )}
    </section>
  );
}
