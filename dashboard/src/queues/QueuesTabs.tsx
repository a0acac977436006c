import { Link } from '@tanstack/react-router';
import { useI18n } from '../i18n/i18n';
import classes from './queues.module.css';

/** The views of what waits and of what was put aside. */
export function QueuesTabs({ active }: { active: 'queues' | 'letters' | 'jobs' | 'audit' }) {
  const { t } = useI18n();
  // Links would take each other's addresses for their own: these differ by their search alone.
  const exact = { activeOptions: { exact: true, includeSearch: true } };
  const current = (name: typeof active) => ({ ...exact, ...(name === active && { 'aria-current': 'page' as const }) });
  return (
    <nav className={classes.tabs} aria-label={t.queues.views}>
      <Link to="/queues" {...current('queues')}>
        {t.queues.title}
      </Link>
      <Link to="/dead-letters" search={{}} {...current('letters')}>
        {t.letters.title}
      </Link>
      <Link to="/dead-letters" search={{ view: 'jobs' }} {...current('jobs')}>
        {t.jobs.title}
      </Link>
      <Link to="/dead-letters" search={{ view: 'audit' }} {...current('audit')}>
        {t.audit.title}
      </Link>
    </nav>
  );
}
