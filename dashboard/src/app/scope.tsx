import { useSearch } from '@tanstack/react-router';
import { createContext, type ReactNode, useContext, useMemo } from 'react';
import { type Api, apiOf } from '../api/typed';
import { useMe } from './session';

const Context = createContext<Api | undefined>(undefined);

/** The role that opens the data of all tenants. */
export const allTenantsRole = 'tenants:all';

/** Whose data the pages show: that of the address, where the roles allow it, or else one's own. */
export function useTenant(): string {
  const me = useMe();
  const wanted = useSearch({ strict: false, select: (s) => s.tenant });
  return wanted && me.roles.includes(allTenantsRole) ? wanted : me.tenant_id;
}

/** Gives its children the API, asked about the tenant of the address. */
export function Scope({ children }: { children: ReactNode }) {
  const me = useMe();
  const tenant = useTenant();
  const api = useMemo(() => apiOf(tenant, me.tenant_id), [tenant, me.tenant_id]);
  return <Context value={api}>{children}</Context>;
}

/** The API about the tenant on show. Its `tenant` belongs into the key of whatever is kept of its answers. */
export function useApi(): Api {
  const api = useContext(Context);
  if (!api) throw new Error('useApi needs a Scope above it');
  return api;
}

/** Whether a role is held, such as ops:write. */
export const useRole = (role: string): boolean => useMe().roles.includes(role);
