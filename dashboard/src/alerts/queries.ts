import { queryOptions, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { type Api, answer, type Schema } from '../api/typed';
import { useApi } from '../app/scope';
import { useInterval, useLive } from '../live/live';

export type Alert = Schema<'Alert'>;
export type AlertList = Schema<'AlertList'>;
export type Severity = Alert['severity'];

/** The worst first. */
export const severities: readonly Severity[] = ['critical', 'warning', 'notice'];

const alertsKey = (api: Api) => [api.tenant, 'alerts'] as const;

export const alertsQuery = (api: Api) =>
  queryOptions({
    queryKey: alertsKey(api),
    queryFn: ({ signal }) => answer(api.GET('/api/v1/alerts', { signal })),
  });

/** How often alerts are asked for without being told of any, in milliseconds: that is how often they are looked for. */
const seldom = 15_000;

/** What is wrong, as the server says: nothing of it is worked out here. */
export function useAlerts(enabled = true) {
  const api = useApi();
  const interval = useInterval(seldom);
  return useQuery({ ...alertsQuery(api), enabled, refetchInterval: interval });
}

/** Has alerts read anew whenever the stream tells of one. */
export function useAlertNews(): void {
  const api = useApi();
  const queryClient = useQueryClient();
  const news = useLive((s) => s.alertNews);
  useEffect(() => {
    if (news > 0) void queryClient.invalidateQueries({ queryKey: alertsKey(api) });
  }, [news, api, queryClient]);
}

/** How many want somebody: a notice is only good to know, and what is silenced is known. */
export const wanting = (list: AlertList | undefined): number => (list ? list.counts.critical + list.counts.warning : 0);

export const firing = (list: AlertList | undefined): Alert[] => (list?.items ?? []).filter((a) => !a.silence);

/** The end of a silence or its beginning changes what is shown of alerts, and what the audit says. */
export const silenceChanged = async (queryClient: ReturnType<typeof useQueryClient>, api: Api): Promise<void> => {
  await Promise.all([
    queryClient.invalidateQueries({ queryKey: alertsKey(api) }),
    queryClient.invalidateQueries({ queryKey: [api.tenant, 'audit'] }),
  ]);
};
