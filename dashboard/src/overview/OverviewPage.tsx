import { useI18n } from '../i18n/i18n';
import { useLive } from '../live/live';
import { SearchBox } from '../search/SearchBox';
import { Card } from '../ui/Card';
import { useTitle } from '../ui/useTitle';
import { BalanceCard } from './BalanceCard';
import { Counters } from './Counters';
import classes from './overview.module.css';
import { Throughput } from './Throughput';

/** Is it flowing, and is it losing anything? And: where is it? */
export function OverviewPage() {
  const { t } = useI18n();
  useTitle(t.overview.title);
  const stale = useLive((s) => s.staleFor !== undefined);
  return (
    <div className={classes.page}>
      <h1 className={classes.title}>{t.overview.title}</h1>
      <Card className={classes.where} titleId="where" title={t.overview.where}>
        <SearchBox large />
      </Card>
      <div className={classes.live} data-stale={stale || undefined}>
        <Counters />
        <Throughput />
        <BalanceCard />
      </div>
    </div>
  );
}
