import { useQuery } from '@tanstack/react-query';
import { createContext, type ReactNode, useContext } from 'react';
import { isUnauthenticated } from '../api/client';
import type { Me } from '../api/types';
import { ErrorCard } from '../ui/ErrorCard';
import { meQuery } from './queries';

const Context = createContext<Me | undefined>(undefined);

/** Who is signed in. */
export function useMe(): Me {
  const me = useContext(Context);
  if (!me) throw new Error('useMe needs a Session above it');
  return me;
}

/** Shows its children to whoever is signed in. The query client sends everybody else to sign in. */
export function Session({ children }: { children: ReactNode }) {
  const { data, error, refetch, isFetching } = useQuery(meQuery);
  if (data) return <Context value={data}>{children}</Context>;
  return (
    <div className="shell">
      <div className="shell-header">
        <span className="shell-name">Rastro</span>
      </div>
      {error && !isUnauthenticated(error) && (
        <main>
          <ErrorCard error={error} onRetry={() => void refetch()} retrying={isFetching} page />
        </main>
      )}
    </div>
  );
}
