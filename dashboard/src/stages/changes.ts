import { pretty } from '../api/lossless';

export interface Line {
  text: string;
  /** The other side has no such line. */
  changed: boolean;
}

/** A JSON text in lines; what is no JSON as it stands. Numbers are those of the text, never read. */
function linesOf(text: string): string[] {
  if (text === '') return [];
  try {
    return pretty(text).split('\n');
  } catch {
    return text.split('\n');
  }
}

/** What an event was and what it became, in lines, of which those are marked that the other lacks. */
export function changedLines(before: string | undefined, after: string | undefined): { before: Line[]; after: Line[] } {
  const [was, is] = [linesOf(before ?? ''), linesOf(after ?? '')];
  // A comma at the end says nothing: it comes and goes with what follows.
  const bare = (line: string) => line.replace(/,$/, '');
  const marked = (lines: readonly string[], other: readonly string[]): Line[] => {
    const left = new Map<string, number>();
    for (const line of other) left.set(bare(line), (left.get(bare(line)) ?? 0) + 1);
    return lines.map((text) => {
      const n = left.get(bare(text)) ?? 0;
      if (n > 0) left.set(bare(text), n - 1);
      return { text, changed: other.length > 0 && n === 0 };
    });
  };
  return { before: marked(was, is), after: marked(is, was) };
}
