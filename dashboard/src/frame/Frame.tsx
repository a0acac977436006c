import { Drawer } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useNavigate, useRouterState, useSearch } from '@tanstack/react-router';
import { Menu as MenuIcon, Minimize, Search } from 'lucide-react';
import { lazy, type ReactNode, Suspense, useEffect, useRef, useState } from 'react';
import { AlertsLink } from '../alerts/AlertsBadge';
import { ApiError, address } from '../api/client';
import { meQuery } from '../app/queries';
import { Scope, useRole, useTenant } from '../app/scope';
import { useMe } from '../app/session';
import { useI18n } from '../i18n/i18n';
import { LiveProvider } from '../live/live';
import { SearchBox } from '../search/SearchBox';
import { ErrorCard } from '../ui/ErrorCard';
import { Logo } from '../ui/Logo';
import { useNow } from '../ui/useNow';
import { ConnectionMark, HoldButton, StaleBanner } from './Connection';
import { EnvironmentBadge } from './EnvironmentBadge';
import classes from './frame.module.css';
import { onCommand } from './keys';
import { LanguageSwitch, ThemeSwitch } from './Preferences';
import { type Page, usePages } from './pages';
import { RangePicker } from './RangePicker';
import { Shortcuts } from './Shortcuts';
import { TenantSwitch, tenantName } from './TenantSwitch';
import { UserMenu } from './UserMenu';

const Palette = lazy(() => import('../palette/Palette'));

const readRole = 'traces:read';
const opsRole = 'ops:read';

/** What the stream tells of all pages; a page that shows traces adds those: see live.tsx. */
function streamAddress(roles: readonly string[], tenant: string, own: string): string {
  const query = new URLSearchParams({
    events: ['history', 'tick', ...(roles.includes(opsRole) ? ['job', 'config', 'alert'] : [])].join(','),
  });
  if (tenant !== own) query.set('tenant', tenant);
  return address(`api/v1/stream?${query}`);
}

/** What stands around every page. */
export function Frame() {
  const { t } = useI18n();
  const me = useMe();
  const tenant = useTenant();
  const queryClient = useQueryClient();
  // A refused stream most often means that the session has ended: asking who we are finds out.
  const askWhoWeAre = useRef(() => void queryClient.invalidateQueries({ queryKey: meQuery.queryKey })).current;
  const allowed = me.roles.includes(readRole);
  // Whole, since a hash alone would be one of <base href>.
  const here = useRouterState({ select: () => `${location.pathname}${location.search}` });

  const page = allowed ? (
    <Scope>
      {/* Another tenant's figures are another stream's: nothing of the one before stays. */}
      <LiveProvider key={tenant} url={streamAddress(me.roles, tenant, me.tenant_id)} onRefused={askWhoWeAre}>
        <Layout live>
          <Outlet />
        </Layout>
      </LiveProvider>
    </Scope>
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
      <a className={classes.skip} href={`${here}#content`}>
        {t.app.skipToContent}
      </a>
      {page}
    </>
  );
}

function Layout({ children, live = false }: { children: ReactNode; live?: boolean }) {
  const { t } = useI18n();
  const content = useFocusOnNavigation();
  const pages = usePages();
  const ops = useRole(opsRole);
  const [more, setMore] = useState(false);
  const kiosk = useSearch({ strict: false, select: (s) => s.kiosk === true });
  if (kiosk)
    return (
      <>
        {live && <StaleBanner />}
        <main className={classes.kiosk} data-kiosk id="content" tabIndex={-1} ref={content}>
          <KioskBar />
          {children}
        </main>
        <Shortcuts />
      </>
    );
  return (
    <>
      <header className={classes.header}>
        <Link to="/" className={classes.brand} aria-label={`${t.app.name}, ${t.nav.overview}`}>
          <Logo />
          <span className={classes.name}>{t.app.name}</span>
        </Link>
        <EnvironmentBadge />
        <TenantSwitch />
        <div className={classes.search}>
          <SearchBox />
        </div>
        <div className={classes.tools}>
          {live && <ConnectionMark />}
          {live && <HoldButton />}
          {live && (
            <div className={classes.wide}>
              <RangePicker />
            </div>
          )}
          {live && ops && <AlertsLink />}
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
      {live && <StaleBanner />}
      <div className={classes.body}>
        <nav className={classes.nav} aria-label={t.nav.label}>
          {pages.map((page) => (
            <NavLink key={page.to} page={page} live={live} />
          ))}
          <button type="button" className={classes.more} onClick={() => setMore(true)} aria-haspopup="dialog">
            <MenuIcon size={18} aria-hidden />
            <span>{t.nav.more}</span>
          </button>
        </nav>
        <main className={classes.content} id="content" tabIndex={-1} ref={content}>
          {children}
        </main>
      </div>
      <MoreDrawer pages={pages} opened={more} onClose={() => setMore(false)} live={live} />
      <Shortcuts />
      <PaletteHost />
    </>
  );
}

/** What a screen on the wall says of itself: whose figures, of when, and how fresh. */
function KioskBar() {
  const { t, f } = useI18n();
  const me = useMe();
  const tenant = useTenant();
  const navigate = useNavigate();
  const now = useNow(1_000);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === 'Escape') void navigate({ to: '/', search: (prev) => ({ ...prev, kiosk: undefined }) });
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [navigate]);
  return (
    <header className={classes.kioskBar}>
      <Logo />
      <strong>{tenantName(me.tenants, tenant)}</strong>
      <EnvironmentBadge />
      <ConnectionMark />
      <span className={`${classes.kioskClock} num`}>{f.clock(now)}</span>
      <Link
        to="/"
        search={(prev) => ({ ...prev, kiosk: undefined })}
        className={classes.kioskLeave}
        aria-label={t.overview.leaveKiosk}
        title={t.overview.leaveKiosk}
      >
        <Minimize size={18} aria-hidden />
      </Link>
    </header>
  );
}

/** What the bar at the bottom of a narrow screen has no room for. */
function MoreDrawer({
  pages,
  opened,
  onClose,
  live,
}: {
  pages: readonly Page[];
  opened: boolean;
  onClose: () => void;
  live: boolean;
}) {
  const { t } = useI18n();
  return (
    <Drawer
      opened={opened}
      onClose={onClose}
      position="bottom"
      size="auto"
      title={t.nav.more}
      closeButtonProps={{ 'aria-label': t.shortcuts.close }}
    >
      <nav className={classes.moreList} aria-label={t.nav.all}>
        {pages.map(({ to, icon: Icon, label }) => (
          <Link
            key={to}
            to={to}
            className={classes.moreLink}
            onClick={onClose}
            activeOptions={{ exact: to === '/', includeSearch: false }}
          >
            <Icon size={18} aria-hidden />
            <span>{label(t)}</span>
          </Link>
        ))}
      </nav>
      {live && (
        <div className={classes.moreTools}>
          <RangePicker />
          <LanguageSwitch />
          <ThemeSwitch />
        </div>
      )}
    </Drawer>
  );
}

function NavLink({ page: { to, icon: Icon, label, first, also, badge: Badge }, live }: { page: Page; live: boolean }) {
  const { t } = useI18n();
  const within = useRouterState({ select: (s) => also !== undefined && s.location.pathname.startsWith(also) });
  return (
    <Link
      to={to}
      className={classes.navLink}
      data-first={first}
      {...(within && { 'data-status': 'active', 'aria-current': 'page' as const })}
      activeOptions={{ exact: to === '/', includeSearch: false }}
      title={label(t)}
    >
      <Icon size={18} aria-hidden />
      <span>{label(t)}</span>
      {live && Badge && <Badge />}
    </Link>
  );
}

/** Loads the command palette when it is asked for first. */
function PaletteHost() {
  const [asked, setAsked] = useState(0);
  useEffect(() => onCommand('palette', () => setAsked((n) => n + 1)), []);
  if (asked === 0) return null;
  return (
    <Suspense>
      <Palette asked={asked} />
    </Suspense>
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
