import './styles/fonts.css';
import './styles/mantine.css';
import './styles/tokens.css';
import './styles/base.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { signInAddress } from './api/client';
import { App } from './app/App';
import { createQueryClient } from './app/queries';
import { createAppRouter } from './app/router';
import { shareStyleNonce } from './app/theme';

const root = document.getElementById('root');
if (!root) throw new Error('the page has no root element');

shareStyleNonce();

const queryClient = createQueryClient(() => location.assign(signInAddress()));

createRoot(root).render(
  <StrictMode>
    <App queryClient={queryClient} router={createAppRouter()} />
  </StrictMode>,
);
