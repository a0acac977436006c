/** A line of a hex dump: where it begins, its bytes, and what of them can be read. */
export interface HexLine {
  offset: string;
  hex: string;
  text: string;
}

const width = 16;

/** The bytes of a text in UTF-8, sixteen a line, as hexdump -C prints them. */
export function hexLines(text: string): HexLine[] {
  const bytes = new TextEncoder().encode(text);
  const lines: HexLine[] = [];
  for (let from = 0; from < bytes.length; from += width) {
    const line = [...bytes.subarray(from, from + width)];
    const hex = line.map((b) => b.toString(16).padStart(2, '0'));
    lines.push({
      offset: from.toString(16).padStart(8, '0'),
      hex: `${hex.slice(0, 8).join(' ')}  ${hex.slice(8).join(' ')}`.trimEnd().padEnd(width * 3),
      text: line.map((b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : '.')).join(''),
    });
  }
  return lines;
}
