import { useQuery } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { useEffect } from 'react';
import { isNotFound } from '../api/client';
import { traceQuery } from '../app/queries';
import { useApi } from '../app/scope';
import { useMe } from '../app/session';
import { useI18n } from '../i18n/i18n';
import { useInterval } from '../live/live';
import { useRecents } from '../search/recent';
import { ErrorCard } from '../ui/ErrorCard';
import { useTitle } from '../ui/useTitle';
import { TraceNotFound } from './TraceNotFound';
import { TraceSkeleton } from './TraceSkeleton';
import { TraceView } from './TraceView';

const route = getRouteApi('/traces/$id');

/** The whole story of one journey. */
export function TracePage() {
  const { id } = route.useParams();
  const { t } = useI18n();
  const me = useMe();
  useTitle(t.trace.title(id));
  const api = useApi();
  const query = traceQuery(api, id);
  const { refetchInterval } = query;
  const held = useInterval(1) === false;
  const { data, error, refetch, isFetching } = useQuery({ ...query, refetchInterval: held ? false : refetchInterval });
  const { add } = useRecents(`${me.tenant_id}/${me.subject}`);

  const kind = data?.trace.kind;
  const status = data?.trace.status;
  useEffect(() => {
    if (status) add({ id, status, ...(kind && { kind }), openedAt: Date.now() });
  }, [id, kind, status, add]);

  if (data) return <TraceView found={data} id={id} outdated={error !== null} />;
  if (isNotFound(error)) return <TraceNotFound id={id} />;
  if (error) return <ErrorCard error={error} onRetry={() => void refetch()} retrying={isFetching} page />;
  return <TraceSkeleton />;
}
