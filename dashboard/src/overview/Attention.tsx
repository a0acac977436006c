import { Link } from '@tanstack/react-router';
import { useI18n } from '../i18n/i18n';
import { HealthMark } from '../ui/HealthMark';
import type { Trouble } from './attention';
import classes from './overview.module.css';

/** How many are shown; the rest is counted. */
const shown = 4;

/** What is not well, before everything else; or that all is. */
export function Attention({ troubles, known }: { troubles: readonly Trouble[]; known: boolean }) {
  const { t } = useI18n();
  const rest = troubles.length - shown;
  return (
    <section className={classes.attention} aria-label={t.overview.attention.title} data-testid="attention">
      {troubles.length === 0 ? (
        <p className={classes.allWell}>
          <HealthMark health={known ? 'ok' : 'idle'} size={16} />
          {known ? t.overview.attention.none : t.overview.attention.unknown}
        </p>
      ) : (
        <ul className={classes.troubles}>
          {troubles.slice(0, shown).map((trouble) => (
            <li key={trouble.id} data-health={trouble.health}>
              <HealthMark health={trouble.health} size={16} />
              <TroubleLink trouble={trouble} />
            </li>
          ))}
          {rest > 0 && <li className="secondary">{t.overview.attention.more(rest)}</li>}
        </ul>
      )}
    </section>
  );
}

function TroubleLink({ trouble }: { trouble: Trouble }) {
  if (trouble.stage)
    return (
      <Link to="/stages/$id" params={{ id: trouble.stage }}>
        {trouble.text}
      </Link>
    );
  if (trouble.letters) return <Link to="/dead-letters">{trouble.text}</Link>;
  if (trouble.queue) return <Link to="/queues">{trouble.text}</Link>;
  return <span>{trouble.text}</span>;
}
