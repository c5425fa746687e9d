/**
 * Drawing a comparison.
 *
 * @module
 */

import { formatNumber, type Result } from "./report.ts";
import { type Spread, spreadOf } from "./spread.ts";

const PANEL = { width: 460, rowHeight: 20, head: 34, foot: 18 };
const NAME_WIDTH = 200;
const VALUE_WIDTH = 70;
const COLUMNS = 2;
const MARGIN = 16;

/** Colors that can be read on a white page and on a black one. */
const COLORS = {
  ours: "#2f81f7",
  others: "#8b949e",
  spread: "#d29922",
  text: "#848d97",
};

/**
 * Draws a panel of bars for each contest.
 *
 * @param results What came of the contests.
 * @param caption Where and when it was measured, in lines.
 * @param isOurs Tells whether an entrant is one of ours; those stand out.
 * @returns The picture as SVG; each bar is as long as the median, and a line over
 * its end goes from the lower to the upper quartile.
 */
export function chart(
  results: readonly Result[],
  caption: readonly string[],
  isOurs: (entrant: string) => boolean,
): string {
  const parts: string[] = [];
  let top = MARGIN;
  for (let at = 0; at < results.length; at += COLUMNS) {
    const row = results.slice(at, at + COLUMNS);
    row.forEach((result, column) => {
      const left = MARGIN + column * (PANEL.width + MARGIN);
      parts.push(
        `<g transform="translate(${left} ${top})">`,
        ...panel(result, isOurs),
        "</g>",
      );
    });
    const rows = Math.max(...row.map(({ samples }) => samples.size));
    top += PANEL.head + rows * PANEL.rowHeight + PANEL.foot;
  }
  const legend = "A bar is a median, the line over its end the middle half.";
  for (const line of [...caption, legend]) {
    top += 14;
    parts.push(text(MARGIN, top, line, 'class="small"'));
  }
  const width = MARGIN + COLUMNS * (PANEL.width + MARGIN);
  const height = top + MARGIN;
  return `<svg xmlns="http://www.w3.org/2000/svg" ` +
    `viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
<style>
text { font: 12px system-ui, sans-serif; fill: ${COLORS.text}; }
.head { font-weight: bold; font-size: 14px; }
.small { font-size: 11px; }
.ours { font-weight: bold; fill: ${COLORS.ours}; }
</style>
${parts.join("\n")}
</svg>
`;
}

function* panel(
  { contest, samples }: Result,
  isOurs: (entrant: string) => boolean,
): Generator<string> {
  const spreads = new Map<string, Spread>(
    [...samples].map((
      [entrant, taken],
    ) => [entrant, spreadOf(taken.map(({ value }) => value))]),
  );
  const most = Math.max(...[...spreads.values()].map(({ high }) => high));
  const scale = (PANEL.width - NAME_WIDTH - VALUE_WIDTH) / most;
  const better = contest.lessIsBetter ? "less is better" : "more is better";
  yield text(
    0,
    14,
    `${contest.name}: ${contest.unit}, ${better}`,
    'class="head"',
  );
  let y = PANEL.head - 8;
  for (const [entrant, { low, median, high }] of spreads) {
    const kind = isOurs(entrant) ? "ours" : "others";
    const middle = y + PANEL.rowHeight / 2;
    const x = (value: number) => (NAME_WIDTH + value * scale).toFixed(1);
    yield text(
      NAME_WIDTH - 6,
      middle + 4,
      entrant,
      `text-anchor="end" class="${kind}"`,
    );
    yield `<rect x="${NAME_WIDTH}" y="${y + 3}" ` +
      `width="${(median * scale).toFixed(1)}" height="${
        PANEL.rowHeight - 6
      }" ` +
      `fill="${COLORS[kind]}"/>`;
    yield `<line x1="${x(low)}" x2="${
      x(high)
    }" y1="${middle}" y2="${middle}" ` +
      `stroke="${COLORS.spread}" stroke-width="2"/>`;
    yield text(
      NAME_WIDTH + high * scale + 6,
      middle + 4,
      formatNumber(median),
      `class="${kind}"`,
    );
    y += PANEL.rowHeight;
  }
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;" };

function text(x: number, y: number, words: string, attributes: string): string {
  const escaped = words.replace(/[&<]/g, (char) => ENTITIES[char]!);
  return `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${escaped}</text>`;
}
