import { Link } from '@tanstack/react-router';
import { PackageSearch } from 'lucide-react';
import { useMe } from '../app/session';
import { useI18n } from '../i18n/i18n';
import { SearchBox } from '../search/SearchBox';
import { Empty } from '../ui/Empty';
import classes from './trace.module.css';

/** No trace: why that may be, and how to go on. The page keeps asking, and shows the trace once it is there. */
export function TraceNotFound({ id }: { id: string }) {
  const { t } = useI18n();
  const me = useMe();
  return (
    <Empty icon={<PackageSearch size={28} aria-hidden />} title={t.trace.notFound(id)} level={1}>
      <p>{t.trace.notFoundWhy}</p>
      <ul className={classes.reasons}>
        <li>{t.trace.notFoundCheck}</li>
        <li>{t.trace.notFoundWait}</li>
        <li>{t.trace.notFoundTenant(me.tenant_id)}</li>
      </ul>
      <div className={classes.again}>
        <SearchBox large />
      </div>
      <Link to="/traces">{t.trace.back}</Link>
    </Empty>
  );
}
