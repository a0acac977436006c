/** What anything on the page may ask the frame for. */
export type Command = 'shortcuts' | 'palette' | 'hold' | 'range';

const eventOf = (command: Command): string => `rastro:${command}`;

export const ask = (command: Command): void => void window.dispatchEvent(new Event(eventOf(command)));

export function onCommand(command: Command, listener: () => void): () => void {
  window.addEventListener(eventOf(command), listener);
  return () => window.removeEventListener(eventOf(command), listener);
}

/** Whether the keyboard is writing, or is meant for a dialog or menu, so that a letter is no command. */
export function isTyping(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return true;
  const target = event.target;
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.closest('[role="dialog"], [role="menu"]')) return true;
  if (target instanceof HTMLInputElement) return !['checkbox', 'radio', 'button'].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

/** The attribute of the inputs that the key `/` goes to. */
export const searchAttribute = 'data-search';

const isShown = (element: HTMLElement): boolean => element.checkVisibility?.() ?? true;

/** Puts the cursor into the search box that is on show; false when none is. */
export function focusSearch(): boolean {
  const boxes = [...document.querySelectorAll<HTMLInputElement>(`input[${searchAttribute}]`)];
  const box = boxes.find(isShown);
  box?.focus();
  box?.select();
  return box !== undefined;
}
