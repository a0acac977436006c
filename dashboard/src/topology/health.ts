/** How something does, as the server says: see api/live/health.go. */
export type Health = 'ok' | 'warn' | 'bad' | 'idle' | 'paused';

const order: readonly Health[] = ['bad', 'paused', 'warn', 'idle', 'ok'];

/** The lower, the sooner it wants to be seen. */
export const urgency = (health: Health): number => order.indexOf(health);

export const worst = (all: readonly Health[]): Health =>
  all.reduce<Health>((a, b) => (urgency(b) < urgency(a) ? b : a), 'ok');
