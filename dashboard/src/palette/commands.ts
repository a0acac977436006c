/** Something that the palette can do. */
export interface Command {
  id: string;
  label: string;
  /** What it belongs to, such as the pages. */
  group: string;
  /** Further words by which it is found. */
  also?: string;
  /** The keys that do the same. */
  keys?: string;
  run: () => void;
}

/** Text as it is compared: without case and accents. */
export const plain = (text: string): string => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();

/**
 * The commands that a text asks for, the best first: those whose words begin as it says before those that hold it somewhere.
 * Each of its words must be found.
 */
export function matching(commands: readonly Command[], text: string): readonly Command[] {
  const words = plain(text).split(/\s+/).filter(Boolean);
  if (words.length === 0) return commands;
  const scored = commands.flatMap((command) => {
    const label = plain(`${command.label} ${command.also ?? ''} ${command.group}`);
    const scores = words.map((word) =>
      label.startsWith(word) ? 3 : label.includes(` ${word}`) ? 2 : label.includes(word) ? 1 : 0,
    );
    return scores.includes(0) ? [] : [{ command, score: scores.reduce((a: number, b) => a + b, 0) }];
  });
  return scored.sort((a, b) => b.score - a.score).map(({ command }) => command);
}
