import { useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useRouterState } from '@tanstack/react-router';
import { Activity, Route as RouteIcon, Search } from 'lucide-react';
import { type ReactNode, useEffect, useRef } from 'react';
import { ApiError, address } from '../api/client';
import { meQuery } from '../app/queries';
import { useMe } from '../app/session';
import { useI18n } from '../i18n/i18n';
import { LiveProvider } from '../live/live';
import { SearchBox } from '../search/SearchBox';
import { ErrorCard } from '../ui/ErrorCard';
import { Logo } from '../ui/Logo';
import { ConnectionMark } from './Connection';
import classes from './frame.module.css';
import { LanguageSwitch, ThemeSwitch } from './Preferences';
import { Shortcuts } from './Shortcuts';
import { UserMenu } from './UserMenu';

const readRole = 'traces:read';

/** What stands around every page. */
export function Frame() {
  const { t } = useI18n();
  const me = useMe();
  const queryClient = useQueryClient();
  // A refused stream most often means that the session has ended: asking who we are finds out.
  const askWhoWeAre = useRef(() => void queryClient.invalidateQueries({ queryKey: meQuery.queryKey })).current;
  const allowed = me.roles.includes(readRole);

  const page = allowed ? (
    <LiveProvider url={address('api/v1/stream')} onRefused={askWhoWeAre}>
      <Layout connection={<ConnectionMark />}>
        <Outlet />
      </Layout>
    </LiveProvider>
  ) : (
    <Layout>
      <ErrorCard
        error={new ApiError({ type: 'about:blank', title: '', status: 403 })}
        onRetry={() => void queryClient.invalidateQueries({ queryKey: meQuery.queryKey })}
        page
      />
    </Layout>
  );
  return (
    <>
      <a className={classes.skip} href={`${location.pathname}${location.search}#content`}>
        {t.app.skipToContent}
      </a>
      {page}
    </>
  );
}

interface LayoutProps {
  children: ReactNode;
  connection?: ReactNode;
}

function Layout({ children, connection }: LayoutProps) {
  const { t } = useI18n();
  const me = useMe();
  const content = useFocusOnNavigation();
  return (
    <>
      <header className={classes.header}>
        <Link to="/" className={classes.brand} aria-label={`${t.app.name}, ${t.nav.overview}`}>
          <Logo />
          <span className={classes.name}>{t.app.name}</span>
        </Link>
        <span className={classes.tenant} title={t.header.tenant}>
          {me.tenant_id}
        </span>
        {connection}
        <div className={classes.search}>
          <SearchBox />
        </div>
        <div className={classes.tools}>
          <Link to="/traces" className={classes.searchLink} aria-label={t.search.label}>
            <Search size={18} aria-hidden />
          </Link>
          <div className={classes.wide}>
            <LanguageSwitch />
            <ThemeSwitch />
          </div>
          <UserMenu />
        </div>
      </header>
      <div className={classes.body}>
        <nav className={classes.nav} aria-label={t.nav.label}>
          <NavLink to="/" icon={<Activity size={18} aria-hidden />} label={t.nav.overview} />
          <NavLink to="/traces" icon={<RouteIcon size={18} aria-hidden />} label={t.nav.traces} />
        </nav>
        <main className={classes.content} id="content" tabIndex={-1} ref={content}>
          {children}
        </main>
      </div>
      <Shortcuts />
    </>
  );
}

function NavLink({ to, icon, label }: { to: '/' | '/traces'; icon: ReactNode; label: string }) {
  return (
    <Link to={to} className={classes.navLink} activeOptions={{ exact: to === '/', includeSearch: false }}>
      {icon}
      <span>{label}</span>
    </Link>
  );
}

/** Moves the focus to the content when another page is shown, so that the keyboard and a reader are where the eye is. */
function useFocusOnNavigation() {
  const ref = useRef<HTMLElement>(null);
  const pathname = useRouterState({ select: (s) => s.resolvedLocation?.pathname });
  const previous = useRef(pathname);
  useEffect(() => {
    if (previous.current !== undefined && previous.current !== pathname) {
      // A page that has put the focus somewhere itself knows better.
      if (!ref.current?.contains(document.activeElement)) ref.current?.focus({ preventScroll: true });
    }
    previous.current = pathname;
  }, [pathname]);
  return ref;
}
