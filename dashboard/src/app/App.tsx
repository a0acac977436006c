import { MantineProvider } from '@mantine/core';
import { type QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { I18nProvider } from '../i18n/i18n';
import type { createAppRouter } from './router';
import { Session } from './session';
import { colorSchemeManager, styleNonce, theme, variables } from './theme';

interface AppProps {
  queryClient: QueryClient;
  router: ReturnType<typeof createAppRouter>;
  /** `test` leaves transitions out. */
  env?: 'default' | 'test';
}

export function App({ queryClient, router, env = 'default' }: AppProps) {
  return (
    <MantineProvider
      env={env}
      theme={theme}
      cssVariablesResolver={variables}
      colorSchemeManager={colorSchemeManager}
      defaultColorScheme="auto"
      getStyleNonce={() => styleNonce() ?? ''}
    >
      <I18nProvider>
        <QueryClientProvider client={queryClient}>
          <Session>
            <RouterProvider router={router} />
          </Session>
        </QueryClientProvider>
      </I18nProvider>
    </MantineProvider>
  );
}
