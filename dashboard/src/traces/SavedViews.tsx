import { Button, Popover, TextInput, UnstyledButton } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { Bookmark, X } from 'lucide-react';
import { type FormEvent, useState } from 'react';
import { useMe } from '../app/session';
import { useI18n } from '../i18n/i18n';
import { isFiltered, type TracesSearch } from './filters';
import classes from './list.module.css';
import { useSavedViews } from './views';

/** Searches that were given a name, and a place to give one to the present search. */
export function SavedViews({ search }: { search: TracesSearch }) {
  const { t } = useI18n();
  const me = useMe();
  const { views, save, forget } = useSavedViews(`${me.tenant_id}/${me.subject}`);
  const [opened, setOpened] = useState(false);
  const [name, setName] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!name.trim()) return;
    save({ name: name.trim(), search });
    setName('');
    setOpened(false);
  };
  if (views.length === 0 && !isFiltered(search)) return null;
  return (
    <div className={classes.views}>
      {views.length > 0 && (
        <ul aria-label={t.finder.views}>
          {views.map((view) => (
            <li key={view.name}>
              <Link to="/traces" search={view.search} activeOptions={{ exact: true, includeSearch: true }}>
                {view.name}
              </Link>
              <button type="button" aria-label={t.finder.forgetView(view.name)} onClick={() => forget(view.name)}>
                <X size={12} aria-hidden />
              </button>
            </li>
          ))}
        </ul>
      )}
      {isFiltered(search) && (
        <Popover opened={opened} onChange={setOpened} position="bottom-start" shadow="md" trapFocus returnFocus>
          <Popover.Target>
            <UnstyledButton className={classes.saveView} onClick={() => setOpened((o) => !o)}>
              <Bookmark size={14} aria-hidden />
              {t.finder.saveView}
            </UnstyledButton>
          </Popover.Target>
          <Popover.Dropdown aria-label={t.finder.saveView}>
            <form onSubmit={submit} className={classes.searchRow}>
              <TextInput
                size="xs"
                aria-label={t.finder.viewName}
                placeholder={t.finder.viewName}
                value={name}
                maxLength={40}
                onChange={(change) => setName(change.currentTarget.value)}
              />
              <Button type="submit" size="xs" disabled={!name.trim()}>
                {t.finder.save}
              </Button>
            </form>
          </Popover.Dropdown>
        </Popover>
      )}
    </div>
  );
}
