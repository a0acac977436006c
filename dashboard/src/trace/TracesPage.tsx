import { Box, FileText, Luggage } from 'lucide-react';
import { useI18n } from '../i18n/i18n';
import { RecentList } from '../search/RecentList';
import { SearchBox } from '../search/SearchBox';
import { Card } from '../ui/Card';
import { useTitle } from '../ui/useTitle';
import classes from './traces.module.css';

/** Where a search begins, and where the last ones are. */
export function TracesPage() {
  const { t } = useI18n();
  useTitle(t.traces.title);
  return (
    <div className={classes.page}>
      <div>
        <h1 className={classes.title}>{t.traces.title}</h1>
        <p className="secondary">{t.traces.lead}</p>
      </div>
      <Card labelledBy="examples">
        <SearchBox large focus offerRecents={false} />
        <h2 className={classes.examplesTitle} id="examples">
          {t.traces.examples}
        </h2>
        <ul className={classes.examples}>
          <li>
            <Luggage size={16} aria-hidden />
            <span>{t.traces.exampleBag}</span>
            <code className="mono">0045123456</code>
          </li>
          <li>
            <FileText size={16} aria-hidden />
            <span>{t.traces.exampleAirWaybill}</span>
            <code className="mono">020-12345675</code>
          </li>
          <li>
            <Box size={16} aria-hidden />
            <span>{t.traces.exampleParcel}</span>
            <code className="mono">RR473124829FI</code>
          </li>
        </ul>
      </Card>
      <RecentList />
    </div>
  );
}
