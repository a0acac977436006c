import { Menu, UnstyledButton } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { Building2, Check, ChevronDown } from 'lucide-react';
import { allTenantsRole, useRole, useTenant } from '../app/scope';
import { useMe } from '../app/session';
import { useI18n } from '../i18n/i18n';
import classes from './frame.module.css';

/** What a tenant is called, when it has a name. */
export const tenantName = (tenants: readonly { id: string; name: string }[], id: string): string =>
  tenants.find((t) => t.id === id)?.name || id;

/** Shows another tenant's data, or one's own again. */
export function useTenantChoice(): (id: string) => void {
  const me = useMe();
  const navigate = useNavigate();
  return (id) =>
    void navigate({
      to: '.',
      search: (prev: object) => ({ ...prev, tenant: id === me.tenant_id ? undefined : id }),
    });
}

/** Whose data are shown; who may see those of all tenants chooses here. */
export function TenantSwitch() {
  const { t } = useI18n();
  const me = useMe();
  const tenant = useTenant();
  const choose = useTenantChoice();
  const several = useRole(allTenantsRole) && me.tenants.length > 1;
  const name = tenantName(me.tenants, tenant);
  if (!several) {
    return (
      <span className={classes.tenant} title={`${t.header.tenant}: ${tenant}`}>
        {name}
      </span>
    );
  }
  return (
    <Menu position="bottom-start" width={240} shadow="md" withinPortal>
      <Menu.Target>
        <UnstyledButton
          className={classes.tenant}
          data-foreign={tenant !== me.tenant_id || undefined}
          aria-label={t.header.chooseTenant(name)}
        >
          <span className={classes.tenantName}>{name}</span>
          <ChevronDown size={13} aria-hidden />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{t.header.tenant}</Menu.Label>
        {me.tenants.map(({ id }) => (
          <Menu.Item
            key={id}
            leftSection={<Building2 size={15} aria-hidden />}
            rightSection={id === tenant ? <Check size={15} aria-label={t.header.chosen} /> : undefined}
            onClick={() => choose(id)}
          >
            {tenantName(me.tenants, id)}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
