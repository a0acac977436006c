import type { Schema } from '../api/typed';
import { useI18n } from '../i18n/i18n';
import { Card } from '../ui/Card';
import classes from './overview.module.css';

/** Why events were dead-lettered, and whose come late. */
export function Tops({ overview }: { overview: Schema<'Overview'> | undefined }) {
  const { t, f } = useI18n();
  const failures = overview?.failures ?? [];
  const slowest = overview?.slowest ?? [];
  const most = Math.max(...failures.map((g) => g.count), 1);
  return (
    <div className={classes.tops}>
      <Card titleId="failures" title={t.overview.failures}>
        {failures.length === 0 ? (
          <p className="secondary">{t.overview.noFailures}</p>
        ) : (
          <ol className={classes.topList}>
            {failures.map((g) => (
              <li key={`${g.stage} ${g.reason}`}>
                <span className={classes.topBar} style={{ width: `${(g.count / most) * 100}%` }} aria-hidden />
                <span className={classes.topName}>
                  <code className="mono">{g.reason}</code> <span className="secondary">{g.stage}</span>
                </span>
                <strong className="num">{f.count(g.count)}</strong>
              </li>
            ))}
          </ol>
        )}
      </Card>
      <Card titleId="slowest" title={t.overview.slowest} note={t.overview.slowestNote}>
        {slowest.length === 0 ? (
          <p className="secondary">{t.overview.noSlowest}</p>
        ) : (
          <ol className={classes.topList}>
            {slowest.map((c) => (
              <li key={c.source}>
                <span className={classes.topName}>{c.source}</span>
                <span className="secondary num">{t.overview.storedCount(c.stored, f.count(c.stored))}</span>
                <strong className="num">{f.ms(c.delay?.p50_ms)}</strong>
              </li>
            ))}
          </ol>
        )}
      </Card>
    </div>
  );
}
