import type { ErrorComponentProps } from '@tanstack/react-router';
import { ErrorCard } from '../ui/ErrorCard';

/** What stands in for a page that failed to draw, or whose script could not be loaded. */
export function PageError({ error }: ErrorComponentProps) {
  return <ErrorCard error={error} onRetry={() => location.reload()} reload page />;
}
