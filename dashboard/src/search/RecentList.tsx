import { Link } from '@tanstack/react-router';
import type { Kind, Milestone } from '../api/types';
import { useMe } from '../app/session';
import { lookup, useI18n } from '../i18n/i18n';
import { KindIcon } from '../trace/icons';
import { StatusMark } from '../trace/StatusMark';
import { useNow } from '../ui/useNow';
import { useRecents } from './recent';
import classes from './search.module.css';

interface RecentListProps {
  /** In a row, and nothing while there are none. */
  compact?: boolean;
}

/** The traces last opened in this browser. */
export function RecentList({ compact = false }: RecentListProps) {
  const { t, f } = useI18n();
  const me = useMe();
  const { recents, clear } = useRecents(`${me.tenant_id}/${me.subject}`);
  const now = useNow(30_000);
  if (compact && recents.length === 0) return null;
  return (
    <section aria-label={t.search.recent} className={compact ? classes.compact : undefined}>
      <div className={classes.recentHead}>
        <h2>{t.search.recent}</h2>
        {recents.length > 0 && (
          <button type="button" className={classes.clear} onClick={clear}>
            {t.search.clearRecent}
          </button>
        )}
      </div>
      {recents.length === 0 ? (
        <p className={`${classes.none} secondary`}>{t.search.recentEmpty}</p>
      ) : (
        <ul className={classes.recents}>
          {recents.map((recent) => (
            <li key={recent.id}>
              <Link to="/traces/$id" params={{ id: recent.id }} className={classes.recent}>
                <KindIcon kind={recent.kind as Kind | undefined} size={18} />
                <span className={`${classes.recentId} mono`}>{recent.id}</span>
                {recent.status && lookup(t.trace.milestone, recent.status) && (
                  <StatusMark status={recent.status as Milestone} />
                )}
                <span className={`${classes.recentAgo} secondary`}>{f.ago(now - recent.openedAt)}</span>
              </Link>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
