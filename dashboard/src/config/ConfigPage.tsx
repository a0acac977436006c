import { Tabs } from '@mantine/core';
import { getRouteApi } from '@tanstack/react-router';
import { useRole } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { useTitle } from '../ui/useTitle';
import { AuditLog } from './AuditLog';
import { ConfigFiles } from './ConfigFiles';
import classes from './config.module.css';
import { PreferencesPanel } from './PreferencesPanel';
import { type ConfigTab, configTabs } from './routes';

const route = getRouteApi('/config');

/** How everything is configured, what was done by hand, and how whoever looks likes to see it. */
export function ConfigPage() {
  const { t } = useI18n();
  useTitle(t.config.title);
  const ops = useRole('ops:read');
  const search = route.useSearch();
  const navigate = route.useNavigate();
  // Of the configuration, and of what others did, only they may read who run it.
  const tabs = configTabs.filter((tab) => ops || tab === 'preferences');
  const tab = tabs.find((one) => one === search.tab) ?? tabs[0] ?? 'preferences';
  return (
    <div className={classes.page}>
      <header>
        <h1 className={classes.title}>{t.config.title}</h1>
        <p className="secondary">{t.config.lead}</p>
      </header>
      <Tabs
        color="var(--brand)"
        value={tab}
        keepMounted={false}
        onChange={(next) =>
          void navigate({ search: () => (next === 'files' ? {} : { tab: next as ConfigTab }), replace: true })
        }
      >
        <Tabs.List className={classes.tabs}>
          {tabs.map((one) => (
            <Tabs.Tab key={one} value={one}>
              {t.config.tab[one]}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="files">
          <ConfigFiles
            file={search.file}
            onFile={(file) => void navigate({ search: (s) => ({ ...s, file }), replace: true, resetScroll: false })}
          />
        </Tabs.Panel>
        <Tabs.Panel value="audit">
          <AuditLog
            unowned={search.unowned ?? false}
            onUnowned={(unowned) =>
              void navigate({
                search: ({ unowned: _, ...rest }) => ({ ...rest, ...(unowned && { unowned: true as const }) }),
                replace: true,
              })
            }
          />
        </Tabs.Panel>
        <Tabs.Panel value="preferences">
          <PreferencesPanel />
        </Tabs.Panel>
      </Tabs>
    </div>
  );
}
